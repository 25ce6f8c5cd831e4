namespace WebVm.Vmm.Devices.Framework;

/// <summary>What drives the devices of a tree, one operation at a time.</summary>
public interface IDeviceThread
{
    /// <summary>Queues short work, which is done even while a transition waits.</summary>
    void Post(Action work);

    /// <summary>Queues a transition, which begins when those before it have ended.</summary>
    /// <param name="transition">Is handed a token that is cancelled when the machine is to end.</param>
    Task RunTransition(Func<CancellationToken, Task> transition);
}
