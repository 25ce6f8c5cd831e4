namespace WebVm.Vmm.Time;

/// <summary>Makes timers that fire in VM time.</summary>
public interface ITimerService
{
    VirtualClock Clock { get; }

    /// <param name="expired">Runs on the timer thread; short, takes no lock that is held while arming.</param>
    IVirtualTimer CreateTimer(Action expired);
}

/// <summary>A one-shot timer in VM time.</summary>
public interface IVirtualTimer : IDisposable
{
    /// <summary>Fires once when the clock reaches <paramref name="deadline"/> (nanoseconds of VM time); replaces an earlier deadline. No allocation.</summary>
    void Arm(long deadline);

    void Cancel();
}
