using WebVm.Vmm.Time;

namespace WebVm.Vmm.Tests.Interrupts;

/// <summary>Timers that fire when the test says so; the clock stands still in between.</summary>
internal sealed class ManualTimers : ITimerService
{
    private readonly List<Timer> _timers = [];

    public VirtualClock Clock { get; } = new();

    public IVirtualTimer CreateTimer(Action expired)
    {
        var timer = new Timer(expired);
        _timers.Add(timer);
        return timer;
    }

    /// <summary>The earliest deadline, or null when no timer is armed.</summary>
    public long? Next => _timers.Where(timer => timer.Deadline is not null).Min(timer => timer.Deadline);

    public int Fired { get; private set; }

    /// <summary>Lets that time pass, timers firing on the way at their deadlines.</summary>
    public void Advance(long nanoseconds)
    {
        long end = Clock.Now + nanoseconds;
        while (Next is { } next && next <= end)
        {
            Clock.Set(Math.Max(next, Clock.Now));
            FireDue();
        }

        Clock.Set(end);
    }

    /// <summary>Lets that time pass at once, as if the host had stalled, and then fires what is due.</summary>
    public void Stall(long nanoseconds)
    {
        Clock.Set(Clock.Now + nanoseconds);
        FireDue();
    }

    private void FireDue()
    {
        foreach (var timer in _timers.Where(timer => timer.Deadline <= Clock.Now).OrderBy(timer => timer.Deadline).ToArray())
        {
            timer.Deadline = null;
            Fired++;
            timer.Expired();
        }
    }

    private sealed class Timer(Action expired) : IVirtualTimer
    {
        public long? Deadline;

        public Action Expired { get; } = expired;

        public void Arm(long deadline) => Deadline = deadline;

        public void Cancel() => Deadline = null;

        public void Withdraw() => Deadline = null;

        public void CancelAndWait() => Deadline = null;

        public void Dispose() => Deadline = null;
    }
}
