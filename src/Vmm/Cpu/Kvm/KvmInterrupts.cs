using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;
using WebVm.Vmm.Interrupts;

namespace WebVm.Vmm.Cpu.Kvm;

/// <summary>KVM's in-kernel PICs, I/O APIC and local APICs as a destination of interrupts.</summary>
internal sealed unsafe class KvmInterrupts : IInterruptRouter
{
    /// <summary>Global system interrupts that stand for message signalled interrupts raised by a descriptor.</summary>
    private const int FirstMessageGsi = 24;
    private const int MaxMessageGsis = 1000;
    private const int IsaInterrupts = 16;

    private readonly FileDescriptor _vm;
    private readonly Lock _lock = new();
    private readonly SortedDictionary<int, MsiMessage> _messages = [];

    /// <summary>Creates the controllers and the PIT; before any vCPU is created.</summary>
    public KvmInterrupts(FileDescriptor vm)
    {
        _vm = vm;
        KvmCalls.Require(vm.Number, KvmRequests.KVM_CREATE_IRQCHIP, (nuint)0, nameof(KvmRequests.KVM_CREATE_IRQCHIP));

        // The speaker's port, 0x61, is read by guests that calibrate clocks with PIT channel 2.
        var pit = new kvm_pit_config { flags = KvmFlags.KVM_PIT_SPEAKER_DUMMY };
        KvmCalls.Require(vm.Number, KvmRequests.KVM_CREATE_PIT2, &pit, nameof(KvmRequests.KVM_CREATE_PIT2));
        WriteRouting();
    }

    public void SetLine(int gsi, bool asserted)
    {
        var level = new kvm_irq_level { irq = (uint)gsi, level = asserted ? 1u : 0 };
        Interrupt(KvmRequests.KVM_IRQ_LINE, &level);
    }

    /// <summary>What the guest put into the message may be nonsense, which KVM refuses; as on hardware nothing happens then.</summary>
    public void SendMsi(MsiMessage message)
    {
        var msi = new kvm_msi { address_lo = (uint)message.Address, address_hi = (uint)(message.Address >> 32), data = message.Data };
        Interrupt(KvmRequests.KVM_SIGNAL_MSI, &msi);
    }

    /// <summary>Reserves an interrupt number for messages that a descriptor raises; null when all are taken.</summary>
    public int? AllocateMessageGsi()
    {
        lock (_lock)
        {
            for (int gsi = FirstMessageGsi; gsi < FirstMessageGsi + MaxMessageGsis; gsi++)
            {
                if (_messages.TryAdd(gsi, default))
                {
                    return gsi;
                }
            }

            return null;
        }
    }

    public void FreeMessageGsi(int gsi)
    {
        lock (_lock)
        {
            _messages.Remove(gsi);
            WriteRouting();
        }
    }

    /// <summary>Sets what a number from <see cref="AllocateMessageGsi"/> sends.</summary>
    public void SetMessage(int gsi, MsiMessage message)
    {
        lock (_lock)
        {
            _messages[gsi] = message;
            WriteRouting();
        }
    }

    /// <summary>
    /// Connects (or disconnects) an eventfd with an interrupt: raising it interrupts the guest without this process (KVM_IRQFD).
    /// </summary>
    /// <param name="resample">For a level-triggered line: signalled when the guest has acknowledged, so that the source can assert
    /// again.</param>
    public void ConnectEvent(EventDescriptor source, int gsi, bool connect, EventDescriptor? resample = null)
    {
        var request = new kvm_irqfd
        {
            fd = (uint)source.Descriptor.Number,
            gsi = (uint)gsi,
            flags = (connect ? 0 : KvmFlags.KVM_IRQFD_FLAG_DEASSIGN) | (resample is null ? 0 : KvmFlags.KVM_IRQFD_FLAG_RESAMPLE),
            resamplefd = (uint)(resample?.Descriptor.Number ?? 0),
        };
        KvmCalls.Require(_vm.Number, KvmRequests.KVM_IRQFD, &request, nameof(KvmRequests.KVM_IRQFD));
    }

    /// <summary>
    /// From any thread, also when the VM has ended: then nobody is there to be interrupted, and its descriptor's number may be another
    /// file's.
    /// </summary>
    private void Interrupt(nuint request, void* argument)
    {
        try
        {
            using var held = new HandleLease(_vm);
            _ = KvmCalls.Control(held.Number, request, argument);
        }
        catch (ObjectDisposedException)
        {
            // The machine has ended.
        }
    }

    private void WriteRouting()
    {
        var entries = new List<kvm_irq_routing_entry>();
        for (uint gsi = 0; gsi < KvmFlags.KVM_IOAPIC_NUM_PINS; gsi++)
        {
            // IRQ 0, the PIT, is on pin 2 of the I/O APIC, as the MADT's source override tells the guest; IRQ 2 is the PICs' cascade.
            if (gsi is < IsaInterrupts and not 2)
            {
                entries.Add(ToChip(gsi, gsi < 8 ? KvmFlags.KVM_IRQCHIP_PIC_MASTER : KvmFlags.KVM_IRQCHIP_PIC_SLAVE, gsi & 7));
            }

            entries.Add(ToChip(gsi, KvmFlags.KVM_IRQCHIP_IOAPIC, gsi == 0 ? 2 : gsi));
        }

        foreach (var (gsi, message) in _messages)
        {
            if (message.Address != 0)
            {
                entries.Add(new kvm_irq_routing_entry
                {
                    gsi = (uint)gsi,
                    type = KvmFlags.KVM_IRQ_ROUTING_MSI,
                    msi = new kvm_irq_routing_msi { address_lo = (uint)message.Address, address_hi = (uint)(message.Address >> 32),
                        data = message.Data },
                });
            }
        }

        byte[] buffer = new byte[sizeof(kvm_irq_routing) + (entries.Count * sizeof(kvm_irq_routing_entry))];
        fixed (byte* start = buffer)
        {
            var table = (kvm_irq_routing*)start;
            table->nr = (uint)entries.Count;
            entries.ToArray().CopyTo(new Span<kvm_irq_routing_entry>(table + 1, entries.Count));
            KvmCalls.Require(_vm.Number, KvmRequests.KVM_SET_GSI_ROUTING, table, nameof(KvmRequests.KVM_SET_GSI_ROUTING));
        }
    }

    private static kvm_irq_routing_entry ToChip(uint gsi, uint chip, uint pin) => new()
    {
        gsi = gsi,
        type = KvmFlags.KVM_IRQ_ROUTING_IRQCHIP,
        irqchip = new kvm_irq_routing_irqchip { irqchip = chip, pin = pin },
    };
}
