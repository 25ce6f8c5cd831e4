namespace WebVm.Vmm.Devices.Framework;

/// <summary>
/// A device for which something outside of the monitor works, such as a back end in another process: coming to rest takes it time.
/// </summary>
/// <remarks>
/// <see cref="IDevice.Stop"/> begins no more work and returns at once; what is in progress then is waited for here.
/// <see cref="IDevice.Start"/> may come while it still is: a pause that took too long is given up, and the device goes on.
/// </remarks>
public interface IDrainable
{
    /// <summary>
    /// Called after <see cref="IDevice.Stop"/>; returns at once, with a task that completes when nothing of the device is in progress.
    /// </summary>
    /// <param name="giveUp">
    /// Time is up. A device that can do without its back end keeps what is in flight as part of its state, lets nothing of that come back
    /// any more, and completes; one that cannot fails the task by <see cref="OperationCanceledException"/>, or leaves it.
    /// </param>
    Task DrainAsync(CancellationToken giveUp);
}
