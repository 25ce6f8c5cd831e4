namespace WebVm.Vmm.Interrupts;

/// <summary>Delivery mode of an interrupt message or LVT entry (SDM Vol. 3A §11.5.1, §11.6.1).</summary>
public enum ApicDeliveryMode : byte
{
    Fixed = 0,
    LowestPriority = 1,
    Smi = 2,
    Reserved = 3,
    Nmi = 4,
    Init = 5,
    StartUp = 6,
    ExternalInterrupt = 7,
}

/// <summary>Destination shorthand of an inter-processor interrupt (SDM Vol. 3A §11.6.1).</summary>
public enum ApicShorthand : byte
{
    None = 0,
    Self = 1,
    AllIncludingSelf = 2,
    AllExcludingSelf = 3,
}

/// <summary>One interrupt message between local APICs, I/O APICs and MSI senders.</summary>
/// <param name="Destination">
/// 32 bits as x2APIC has them; senders with 8-bit destinations widen theirs by <see cref="WidenDestination"/>.
/// </param>
/// <param name="Logical">Destination mode: the logical destination registers decide instead of the APIC id.</param>
public readonly record struct ApicMessage(uint Destination, bool Logical, ApicDeliveryMode Mode, byte Vector, bool Level)
{
    /// <summary>The destination that every local APIC accepts.</summary>
    public const uint Broadcast = 0xffff_ffff;

    /// <summary>An 8-bit destination as a 32-bit one: 0xff is a broadcast in both destination modes (SDM Vol. 3A §11.6.2).</summary>
    public static uint WidenDestination(byte destination) => destination == 0xff ? Broadcast : destination;

    /// <summary>Decodes a write to the interrupt message window (SDM Vol. 3A §11.11.1, §11.11.2).</summary>
    public static ApicMessage FromMsi(MsiMessage message)
    {
        var mode = (ApicDeliveryMode)((message.Data >> 8) & 7);

        // The redirection hint asks for one processor among those addressed.
        bool redirect = (message.Address & (1 << 3)) != 0;
        return new ApicMessage(
            WidenDestination((byte)(message.Address >> 12)),
            (message.Address & (1 << 2)) != 0,
            redirect && mode == ApicDeliveryMode.Fixed ? ApicDeliveryMode.LowestPriority : mode,
            (byte)message.Data,
            (message.Data & (1 << 15)) != 0);
    }
}
