using WebVm.Vmm.Time;

namespace WebVm.Vmm.Tests.Devices.Doubles;

/// <summary>VM time that moves only when told to, and timers that fire on the caller's thread.</summary>
internal sealed class ManualTimers : ITimerService
{
    private readonly List<ManualTimer> _timers = [];

    public VirtualClock Clock { get; } = new();

    public IVirtualTimer CreateTimer(Action expired)
    {
        var timer = new ManualTimer(expired);
        _timers.Add(timer);
        return timer;
    }

    /// <summary>Lets that much time pass, firing timers at their deadlines.</summary>
    public void Advance(long nanoseconds)
    {
        long end = Clock.Now + nanoseconds;
        while (_timers.Where(timer => timer.Deadline <= end).MinBy(timer => timer.Deadline) is { } due)
        {
            Clock.Set(Math.Max(Clock.Now, due.Deadline!.Value));
            due.Deadline = null;
            due.Expired();
        }

        Clock.Set(end);
    }

    private sealed class ManualTimer(Action expired) : IVirtualTimer
    {
        public long? Deadline { get; set; }

        public Action Expired { get; } = expired;

        public void Arm(long deadline) => Deadline = deadline;

        public void Cancel() => Deadline = null;

        public void CancelAndWait() => Deadline = null;

        public void Dispose() => Deadline = null;
    }
}
