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
    /// <summary>
    /// Asks the guest to let the device go, again where it has been asked before; the newest question counts. A reset forgets it.
    /// </summary>
    /// <param name="answer">Told, from any thread and at any time later, what the guest says, if it does. Returns at once.</param>
    void AskToEject(Action<RemovalAnswer> answer);

    /// <summary>The guest agreed, and the device is at rest: the last call before it is powered down.</summary>
    void Eject();
}

/// <summary>
/// What devices are plugged into, where that is what asks their guest: a slot with a button and a power switch. A connector of these
/// devices.
/// </summary>
public interface IHotPlugController
{
    /// <summary>Whether the device is in one of its slots.</summary>
    bool Governs(IDevice device);

    /// <summary>Why nothing can be plugged into the place now, as a sentence; null where something can.</summary>
    string? RefusalOf(ulong place);

    /// <inheritdoc cref="IEjectable.AskToEject"/>
    void AskToEject(IDevice device, Action<RemovalAnswer> answer);
}
