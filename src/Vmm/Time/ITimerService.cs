namespace WebVm.Vmm.Time;

/// <summary>Makes timers that fire in VM time.</summary>
public interface ITimerService
{
    VirtualClock Clock { get; }

    /// <param name="expired">
    /// Runs on the timer thread, which holds no lock meanwhile: it may arm any timer and take the device's lock. Short: all
    /// timers of the VM wait for it.
    /// </param>
    IVirtualTimer CreateTimer(Action expired);
}

/// <summary>A one-shot timer in VM time. Any thread may arm and cancel it.</summary>
public interface IVirtualTimer : IDisposable
{
    /// <summary>
    /// Fires once when the clock reaches <paramref name="deadline"/> (nanoseconds of VM time), at once if that is past; replaces
    /// an earlier deadline. No allocation.
    /// </summary>
    void Arm(long deadline);

    /// <summary>Forgets the deadline. A callback that has begun is not waited for: it may be about to take the caller's lock.</summary>
    void Cancel();

    /// <summary>
    /// <see cref="Cancel"/>, and the timers' thread does not wake for the deadline that was, which <see cref="Cancel"/> finds cheaper than
    /// a system call.
    /// </summary>
    void Withdraw();

    /// <summary>
    /// <see cref="Cancel"/>, and no callback runs when it returns (unless called by the callback). The caller holds no lock that
    /// the callback takes. For a device's Stop.
    /// </summary>
    void CancelAndWait();
}
