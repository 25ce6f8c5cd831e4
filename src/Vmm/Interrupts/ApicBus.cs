namespace WebVm.Vmm.Interrupts;

/// <summary>What connects the local APICs of a VM with each other, with the I/O APIC and with MSI senders. Any thread may send.</summary>
public sealed class ApicBus
{
    private readonly Lock _lock = new();

    /// <summary>Replaced as a whole when a vCPU is added, so that senders need no lock.</summary>
    private LocalApic[] _apics = [];
    private uint _rotation;

    /// <summary>Told, on the vCPU's thread, of the vector of every level-triggered interrupt that a local APIC has ended.</summary>
    public Action<byte>? LevelInterruptEnded { get; set; }

    /// <summary>The 8259A pair's answer to an interrupt acknowledge cycle: a vector, or -1 when it no longer asks.</summary>
    public Func<int>? AcknowledgeExternal { get; set; }

    public IReadOnlyList<LocalApic> LocalApics => _apics;

    /// <summary>The 8259A pair's INTR output, wired to LINT0 of every local APIC.</summary>
    public bool ExternalInterruptLine { get; private set; }

    /// <summary>Sends a message to whoever it addresses; false when nobody accepted it.</summary>
    public bool Send(in ApicMessage message)
    {
        if (message.Mode == ApicDeliveryMode.LowestPriority)
        {
            return SendToLowestPriority(message);
        }

        bool accepted = false;
        foreach (var apic in Volatile.Read(ref _apics))
        {
            if (apic.IsAddressed(message.Destination, message.Logical))
            {
                accepted |= apic.Accept(message.Mode, message.Vector, message.Level);
            }
        }

        return accepted;
    }

    /// <summary>Wakes the processor with that id out of HLT, or out of its next one, with no interrupt (KVM's paravirtual kick).</summary>
    public void Unhalt(uint apicId)
    {
        foreach (var apic in Volatile.Read(ref _apics))
        {
            if (apic.ApicId == apicId)
            {
                apic.Unhalt();
            }
        }
    }

    /// <summary>Sends one interrupt to the processors whose ids are set in a bitmap (KVM's paravirtual IPI).</summary>
    /// <param name="low">Ids from <paramref name="first"/> on.</param>
    /// <param name="high">Ids from <paramref name="first"/> + <paramref name="width"/> on.</param>
    /// <param name="width">Bits that count in each half.</param>
    /// <param name="command">Vector and delivery mode as in the interrupt command register.</param>
    /// <returns>How many accepted it, or -KVM_EINVAL.</returns>
    public long SendToBitmap(ulong low, ulong high, uint first, int width, uint command)
    {
        const uint ShorthandAndDestinationMode = (3 << 18) | (1 << 11);
        const long Invalid = -22;
        var mode = (ApicDeliveryMode)((command >> 8) & 7);
        if ((command & ShorthandAndDestinationMode) != 0 || mode is ApicDeliveryMode.Reserved or ApicDeliveryMode.ExternalInterrupt)
        {
            return Invalid;
        }

        long accepted = 0;
        foreach (var apic in Volatile.Read(ref _apics))
        {
            uint bit = apic.ApicId - first;
            bool addressed = bit < (uint)width
                ? (low >> (int)bit & 1) != 0
                : bit < (uint)width * 2 && (high >> (int)(bit - (uint)width) & 1) != 0;
            if (apic.ApicId >= first && addressed && apic.Accept(mode, (byte)command, level: false))
            {
                accepted++;
            }
        }

        return accepted;
    }

    /// <summary>Sets the level of the 8259A pair's output.</summary>
    public void SetExternalInterruptLine(bool asserted)
    {
        ExternalInterruptLine = asserted;
        foreach (var apic in Volatile.Read(ref _apics))
        {
            apic.SetLint0(asserted);
        }
    }

    internal void Attach(LocalApic apic)
    {
        lock (_lock)
        {
            Volatile.Write(ref _apics, [.. _apics, apic]);
        }
    }

    internal void Detach(LocalApic apic)
    {
        lock (_lock)
        {
            Volatile.Write(ref _apics, Array.FindAll(_apics, other => other != apic));
        }
    }

    internal void SendWithShorthand(in ApicMessage message, ApicShorthand shorthand, LocalApic source)
    {
        switch (shorthand)
        {
            case ApicShorthand.None:
                Send(message);
                break;
            case ApicShorthand.Self:
                source.Accept(message.Mode, message.Vector, message.Level);
                break;
            default:
                foreach (var apic in Volatile.Read(ref _apics))
                {
                    if (shorthand == ApicShorthand.AllIncludingSelf || apic != source)
                    {
                        apic.Accept(message.Mode, message.Vector, message.Level);
                    }
                }

                break;
        }
    }

    /// <summary>
    /// Arbitration: the processor priority decides, and among equals they take turns, as the architecture leaves open
    /// (SDM Vol. 3A §11.6.2.4).
    /// </summary>
    private bool SendToLowestPriority(in ApicMessage message)
    {
        var apics = Volatile.Read(ref _apics);
        if (apics.Length == 0)
        {
            return false;
        }

        uint start = Interlocked.Increment(ref _rotation);
        LocalApic? chosen = null;
        for (uint i = 0; i < apics.Length; i++)
        {
            var apic = apics[(start + i) % (uint)apics.Length];
            if (apic.Enabled && apic.IsAddressed(message.Destination, message.Logical)
                && (chosen is null || apic.ProcessorPriority < chosen.ProcessorPriority))
            {
                chosen = apic;
            }
        }

        return chosen is not null && chosen.Accept(ApicDeliveryMode.Fixed, message.Vector, message.Level);
    }
}
