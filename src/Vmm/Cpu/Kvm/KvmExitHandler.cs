using System.Globalization;
using WebVm.Vmm.Host.Native;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Kvm;

/// <summary>Answers the exits of one vCPU. Allocates nothing.</summary>
internal sealed unsafe class KvmExitHandler(IGuestBus bus, GuestMemory memory, kvm_run* run, VcpuCounters counters)
{
    public enum Verdict
    {
        /// <summary>Answered; run on.</summary>
        Continue,

        /// <summary>Triple fault or the like.</summary>
        Shutdown,

        /// <summary>KVM met an instruction that it has to emulate and cannot.</summary>
        CannotEmulate,

        /// <summary>The host or its KVM failed; <see cref="Describe"/> says how.</summary>
        Failure,
    }

    public Verdict Handle()
    {
        switch (run->exit_reason)
        {
            case KvmExits.KVM_EXIT_IO:
                counters.PortExits++;
                Port();
                return Verdict.Continue;
            case KvmExits.KVM_EXIT_MMIO:
                counters.MmioExits++;
                Mmio();
                return Verdict.Continue;
            case KvmExits.KVM_EXIT_HLT:
                // With the local APIC in the kernel a halted processor sleeps there; this is one that was woken.
                counters.HaltExits++;
                return Verdict.Continue;
            case KvmExits.KVM_EXIT_INTR:
            case KvmExits.KVM_EXIT_IRQ_WINDOW_OPEN:
            case KvmExits.KVM_EXIT_SET_TPR:
            case KvmExits.KVM_EXIT_IOAPIC_EOI:
            case KvmExits.KVM_EXIT_X86_BUS_LOCK:
                counters.OtherExits++;
                return Verdict.Continue;
            case KvmExits.KVM_EXIT_SHUTDOWN:
                return Verdict.Shutdown;
            case KvmExits.KVM_EXIT_SYSTEM_EVENT:
                counters.OtherExits++;
                return Verdict.Shutdown;
            case KvmExits.KVM_EXIT_INTERNAL_ERROR when run->internal_error.suberror == KvmExits.KVM_INTERNAL_ERROR_EMULATION:
                return Verdict.CannotEmulate;
            default:
                return Verdict.Failure;
        }
    }

    /// <summary>The bytes at the instruction that KVM could not emulate; empty when it does not say.</summary>
    public ReadOnlySpan<byte> Instruction =>
        run->internal_error.ndata > 0 && (run->emulation_failure.flags & KvmExits.KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) != 0
            ? new ReadOnlySpan<byte>(run->emulation_failure.insn_bytes, Math.Min((int)run->emulation_failure.insn_size, 15))
            : default;

    /// <summary>The last exit in words, for the log.</summary>
    public string Describe() => run->exit_reason switch
    {
        KvmExits.KVM_EXIT_FAIL_ENTRY => string.Create(CultureInfo.InvariantCulture,
            $"the processor refused the guest's state (hardware reason 0x{run->fail_entry.hardware_entry_failure_reason:x})"),
        KvmExits.KVM_EXIT_INTERNAL_ERROR when run->internal_error.suberror == KvmExits.KVM_INTERNAL_ERROR_EMULATION =>
            $"KVM cannot emulate an instruction ({InstructionBytes()})",
        KvmExits.KVM_EXIT_INTERNAL_ERROR => string.Create(CultureInfo.InvariantCulture,
            $"KVM internal error {run->internal_error.suberror} (data {run->internal_error.data[0]:x} {run->internal_error.data[1]:x})"),
        KvmExits.KVM_EXIT_UNKNOWN =>
            string.Create(CultureInfo.InvariantCulture, $"KVM does not know hardware exit 0x{run->hardware_exit_reason:x}"),
        _ => string.Create(CultureInfo.InvariantCulture, $"KVM exit {run->exit_reason} has no meaning here"),
    };

    private void Port()
    {
        int size = run->io.size;
        ushort port = run->io.port;
        byte* data = (byte*)run + run->io.data_offset;

        // A repeated string instruction comes as one exit with many elements.
        for (uint count = run->io.count; count > 0; count--, data += size)
        {
            if (run->io.direction == KvmExits.KVM_EXIT_IO_OUT)
            {
                uint value = size switch { 1 => *data, 2 => *(ushort*)data, _ => *(uint*)data };
                bus.WritePort(port, size, value);
            }
            else
            {
                uint value = bus.ReadPort(port, size);
                switch (size)
                {
                    case 1:
                        *data = (byte)value;
                        break;
                    case 2:
                        *(ushort*)data = (ushort)value;
                        break;
                    default:
                        *(uint*)data = value;
                        break;
                }
            }
        }
    }

    private void Mmio()
    {
        int length = (int)run->mmio.len;
        ulong address = run->mmio.phys_addr;
        if (run->mmio.is_write != 0 && memory.View.Find(new GuestPhysicalAddress(address)).Kind == BackingKind.ReadOnly)
        {
            return;
        }

        if (length is 1 or 2 or 4 or 8)
        {
            if (run->mmio.is_write != 0)
            {
                ulong mask = length == 8 ? ulong.MaxValue : (1UL << (length * 8)) - 1;
                bus.WriteMmio(new GuestPhysicalAddress(address), length, run->mmio.data & mask);
            }
            else
            {
                run->mmio.data = bus.ReadMmio(new GuestPhysicalAddress(address), length);
            }

            return;
        }

        // A piece of an access that crosses a page.
        var bytes = (byte*)&run->mmio.data;
        for (int i = 0; i < Math.Min(length, sizeof(ulong)); i++)
        {
            if (run->mmio.is_write != 0)
            {
                bus.WriteMmio(new GuestPhysicalAddress(address + (ulong)i), 1, bytes[i]);
            }
            else
            {
                bytes[i] = (byte)bus.ReadMmio(new GuestPhysicalAddress(address + (ulong)i), 1);
            }
        }
    }

    private string InstructionBytes() => Instruction.IsEmpty ? "bytes unknown" : Convert.ToHexStringLower(Instruction);
}
