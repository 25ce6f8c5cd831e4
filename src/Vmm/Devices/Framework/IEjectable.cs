namespace WebVm.Vmm.Devices.Framework;

/// <summary>What a guest says when it is asked to let a device go.</summary>
public enum RemovalAnswer
{
    /// <summary>It does not use the device any more.</summary>
    Agreed,

    Refused,
}

/// <summary>A device whose removal the guest decides. Others are taken away without a word.</summary>
public interface IEjectable
{
    /// <summary>Asks the guest to let the device go, again where it has been asked before; the newest question counts. A reset forgets it.</summary>
    /// <param name="answer">Told, from any thread and at any time later, what the guest says, if it does. Returns at once.</param>
    void AskToEject(Action<RemovalAnswer> answer);

    /// <summary>The guest agreed, and the device is at rest: the last call before it is powered down.</summary>
    void Eject();
}
