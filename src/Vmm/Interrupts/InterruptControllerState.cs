using System.Buffers.Binary;
using System.Text.Json.Serialization;

namespace WebVm.Vmm.Interrupts;

/// <summary>The state of all interrupt controllers and the PIT of a VM, independent of the engine that produced it.</summary>
public sealed record InterruptControllerState
{
    public required PicState PrimaryPic { get; init; }

    public required PicState SecondaryPic { get; init; }

    public required IoApicState IoApic { get; init; }

    public required PitState Pit { get; init; }

    /// <summary>By vCPU index.</summary>
    public required IReadOnlyList<LocalApicState> LocalApics { get; init; }
}

/// <summary>One 8259A (Intel 8259A data sheet).</summary>
public sealed record PicState
{
    public byte InterruptRequest { get; init; }

    public byte InService { get; init; }

    public byte Mask { get; init; }

    /// <summary>The level last seen on each pin.</summary>
    public byte LastLevels { get; init; }

    /// <summary>ELCR: pins that are level triggered.</summary>
    public byte LevelTriggered { get; init; }

    public byte VectorBase { get; init; }

    /// <summary>The pin with the highest priority.</summary>
    public byte PriorityAdd { get; init; }

    /// <summary>Initialization words still expected: 0 for none, else the number of the next (2 to 4).</summary>
    public byte InitializationStep { get; init; }

    public bool ReadInService { get; init; }

    public bool Poll { get; init; }

    public bool SpecialMask { get; init; }

    public bool AutoEndOfInterrupt { get; init; }

    public bool RotateOnAutoEndOfInterrupt { get; init; }

    public bool SpecialFullyNested { get; init; }

    public bool ExpectsFourthWord { get; init; }
}

/// <summary>The I/O APIC (82093AA data sheet).</summary>
public sealed record IoApicState
{
    public byte Id { get; init; }

    /// <summary>IOREGSEL.</summary>
    public byte Index { get; init; }

    /// <summary>A bit per pin: asserted level-triggered pins, and edges not yet delivered.</summary>
    public uint InterruptRequest { get; init; }

    /// <summary>The 24 redirection entries, remote IRR and delivery status included.</summary>
    public required IReadOnlyList<ulong> Redirection { get; init; }
}

/// <summary>One channel of the 8254 (Intel 8254 data sheet).</summary>
public sealed record PitChannelState
{
    /// <summary>Initial count, 1 to 65536.</summary>
    [JsonRequired]
    public int Count { get; init; } = 65536;

    public ushort LatchedCount { get; init; }

    /// <summary>Bytes of the latched count still to be read: 0, 1 or 2 (and which, as read/write mode).</summary>
    public byte CountLatched { get; init; }

    public bool StatusLatched { get; init; }

    public byte Status { get; init; }

    public byte ReadState { get; init; }

    public byte WriteState { get; init; }

    public byte WriteLatch { get; init; }

    /// <summary>Access mode: 1 low byte, 2 high byte, 3 low then high.</summary>
    [JsonRequired]
    public byte AccessMode { get; init; } = 3;

    public byte Mode { get; init; }

    public bool Bcd { get; init; }

    [JsonRequired]
    public bool Gate { get; init; } = true;

    /// <summary>VM time, in nanoseconds, at which the count was loaded (or the gate started it).</summary>
    public long LoadedAt { get; init; }

    /// <summary>VM time at which a low gate stopped the count, while it does.</summary>
    public long StoppedAt { get; init; }

    /// <summary>A mode was set and no count has followed: the channel stands still (KVM: mode 0xff).</summary>
    public bool NullCount { get; init; }

    /// <summary>Modes 1 and 5: no rising gate has started the count yet.</summary>
    public bool WaitsForTrigger { get; init; }
}

public sealed record PitState
{
    public required IReadOnlyList<PitChannelState> Channels { get; init; }

    public bool SpeakerDataOn { get; init; }
}

/// <summary>One local APIC (SDM Vol. 3A chapter 11).</summary>
public sealed record LocalApicState
{
    /// <summary>
    /// The register page as KVM_GET_LAPIC lays it out: 1024 bytes, the 32-bit register at offset n of the xAPIC page at byte n; in
    /// x2APIC mode the id register holds all 32 bits of the id (KVM_X2APIC_API_USE_32BIT_IDS). The APIC base and the TSC deadline
    /// are MSRs and belong to the vCPU's state.
    /// </summary>
    public required byte[] Registers { get; init; }

    /// <summary>
    /// VM time, in nanoseconds, at which the timer fires next; 0 when it is not running, or unknown: then the current count says it.
    /// </summary>
    public long TimerDeadline { get; init; }

    /// <summary>The id register as the APIC's mode shows it; null when there is no register page.</summary>
    [JsonIgnore]
    public uint? Id => Registers is { Length: >= LocalApicRegister.Id + sizeof(uint) }
        ? BinaryPrimitives.ReadUInt32LittleEndian(Registers.AsSpan(LocalApicRegister.Id))
        : null;
}
