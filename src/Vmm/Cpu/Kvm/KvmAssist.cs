using System.Globalization;
using System.Runtime.InteropServices;
using WebVm.Vmm.Cpu.Soft;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Host.Native;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Kvm;

/// <summary>
/// Completes what KVM met and cannot emulate: the vCPU's state goes to the soft interpreter, which executes the instruction, and
/// what it changed comes back. One per vCPU, on its thread.
/// </summary>
internal sealed unsafe class KvmAssist : IDisposable
{
    private const ushort Valid = 0x100;
    private const byte HardwareException = 3;
    private const byte PageFault = 14;
    private const byte DebugException = 1;

    private readonly KvmVcpuState _transfer;
    private readonly KvmExtendedStateAssist? _extended;
    private readonly SoftInterpreter _interpreter;
    private readonly CpuState* _state;
    private readonly CpuState* _before;

    /// <param name="extended">Does the XSAVE family where guests use components that the interpreter lacks; else null.</param>
    public KvmAssist(KvmVcpuState transfer, GuestMemory memory, TranslationDropper dropper, IGuestBus bus, KvmExtendedStateAssist? extended)
    {
        _extended = extended;
        _transfer = transfer;
        _interpreter = new SoftInterpreter(memory, dropper, bus);
        _state = (CpuState*)NativeMemory.AlignedAlloc((nuint)sizeof(CpuState) * 2, 64);
        NativeMemory.Clear(_state, (nuint)sizeof(CpuState) * 2);
        _before = _state + 1;
    }

    /// <summary>Executes the instruction that the vCPU stopped at, exception included.</summary>
    /// <param name="instruction">Its bytes as far as KVM knows them; it decides how much state has to move.</param>
    /// <param name="shared">The registers that KVM copied out with the exit, and takes back with the next run; null to fetch them.</param>
    public void Complete(ReadOnlySpan<byte> instruction, kvm_run* shared)
    {
        bool modelSpecific = UsesModelSpecificState(instruction);
        bool extended = modelSpecific || !UsesIntegerStateAlone(instruction);
        Fetch(shared, modelSpecific, extended);

        // KVM queues #UD before it gives up; the instruction has yet to say whether it raises one.
        _state->PendingEvent = 0;
        _state->InterruptShadow = 0;
        *_before = *_state;
        if (!extended || _extended is null || !_extended.TryComplete(_state, instruction))
        {
            Execute();
            if (extended)
            {
                GiveBackExtended();
            }

            if (modelSpecific)
            {
                GiveBackModelSpecific();
            }
        }

        if (shared is null || _state->Activity != VcpuActivity.Active || !TryShare(shared))
        {
            _transfer.LoadRegisters(_state);
        }
    }

    public void Dispose()
    {
        _interpreter.Dispose();
        NativeMemory.AlignedFree(_state);
    }

    /// <summary>Where the last completed instruction was, for a report of what goes wrong.</summary>
    public override string ToString() =>
        string.Create(CultureInfo.InvariantCulture, $"assisted at 0x{_before->Rip:x}, now at 0x{_state->Rip:x}");

    private void Fetch(kvm_run* shared, bool modelSpecific, bool extended)
    {
        if (modelSpecific)
        {
            _transfer.Save(_state);
            return;
        }

        if (shared is null)
        {
            _transfer.SaveRegisters(_state);
        }
        else
        {
            KvmRegisters.FromKvm(shared->sync.regs, _state);
            KvmRegisters.FromKvm(shared->sync.sregs, _state);
            KvmRegisters.FromKvm(shared->sync.events, _state);
            _state->Activity = VcpuActivity.Active;
            _state->PendingSipi = 0;
            _transfer.SavePdptrs(_state);
        }

        if (extended)
        {
            _transfer.SaveExtended(_state);
        }
    }

    private void Execute()
    {
        var result = _interpreter.Step(_state, 1);
        switch (result.Outcome)
        {
            case StepOutcome.Exception:
                Raise(result);
                break;
            case StepOutcome.Halted:
                _state->Activity = VcpuActivity.Halted;
                break;
            default:
                break;
        }
    }

    private void GiveBackExtended()
    {
        if (!new ReadOnlySpan<byte>(&_before->Xsave, sizeof(XsaveArea)).SequenceEqual(
            new ReadOnlySpan<byte>(&_state->Xsave, sizeof(XsaveArea)))
            || _before->Xcr0 != _state->Xcr0)
        {
            _transfer.LoadExtended(_state, initialize: false);
        }
    }

    private void GiveBackModelSpecific()
    {
        _transfer.LoadChangedMsrs(_before, _state);
        if (!new ReadOnlySpan<ulong>(_before->Dr, 8).SequenceEqual(new ReadOnlySpan<ulong>(_state->Dr, 8)))
        {
            _transfer.LoadDebugRegisters(_state);
        }
    }

    /// <summary>Leaves the changed registers for KVM to take at the next run. False when they hold what only calls can set.</summary>
    private bool TryShare(kvm_run* shared)
    {
        if (KvmVcpuState.UsesPdptrs(_state))
        {
            return false;
        }

        KvmRegisters.ToKvm(_state, out shared->sync.regs);
        var special = shared->sync.sregs;
        KvmRegisters.ToKvm(_state, ref special);
        for (int i = 0; i < 4; i++)
        {
            special.interrupt_bitmap[i] = 0;
        }

        bool changed = !new ReadOnlySpan<byte>(&special, sizeof(kvm_sregs)).SequenceEqual(
            new ReadOnlySpan<byte>(&shared->sync.sregs, sizeof(kvm_sregs)));
        shared->sync.sregs = special;
        KvmRegisters.ToKvm(_state, out shared->sync.events);
        shared->kvm_dirty_regs = KvmFlags.KVM_SYNC_X86_REGS | KvmFlags.KVM_SYNC_X86_EVENTS | (changed ? KvmFlags.KVM_SYNC_X86_SREGS : 0);
        return true;
    }

    private void Raise(in StepResult result)
    {
        _state->PendingEvent = (ushort)(Valid | result.Vector);
        _state->PendingEventType = HardwareException;
        _state->PendingEventHasErrorCode = result.HasErrorCode ? (byte)1 : (byte)0;
        _state->PendingEventErrorCode = result.ErrorCode;
        switch (result.Vector)
        {
            case PageFault:
                _state->Cr2 = result.Address;
                break;
            case DebugException:
                Soft.Context.DebugRegisters.Report(ref *_state, result.Address);
                break;
            default:
                break;
        }
    }

    /// <summary>Instructions that read or write MSRs or debug registers: all of the state moves for them.</summary>
    private static bool UsesModelSpecificState(ReadOnlySpan<byte> instruction)
    {
        var opcode = WithoutPrefixes(instruction);
        if (opcode.Length < 3)
        {
            return true;
        }

        // SYSCALL, SYSRET, SYSENTER, SYSEXIT, RDMSR, WRMSR, RDTSC, MOV DR, SWAPGS, RDTSCP, XSAVES and its kin.
        return opcode[0] == 0x0f && (opcode[1] is 0x05 or 0x07 or 0x34 or 0x35 or 0x30 or 0x31 or 0x32 or 0x21 or 0x23
            || (opcode[1] == 0x01 && opcode[2] is 0xf8 or 0xf9)
            || (opcode[1] == 0xc7 && (opcode[2] >> 3 & 7) is 3 or 5));
    }

    /// <summary>The instructions that such KVMs stop at most often, and that touch no x87 or vector register.</summary>
    private static bool UsesIntegerStateAlone(ReadOnlySpan<byte> instruction)
    {
        var opcode = WithoutPrefixes(instruction);

        // INT3, CLAC, STAC, POPCNT, CMPXCHG16B.
        return opcode.Length >= 3 && (opcode[0] == 0xcc
            || (opcode[0] == 0x0f
                && ((opcode[1] == 0x01 && opcode[2] is 0xca or 0xcb) || opcode[1] == 0xb8
                    || (opcode[1] == 0xc7 && (opcode[2] >> 3 & 7) == 1))));
    }

    private static ReadOnlySpan<byte> WithoutPrefixes(ReadOnlySpan<byte> instruction)
    {
        int at = 0;
        while (at < instruction.Length
            && instruction[at] is 0x66 or 0x67 or 0xf2 or 0xf3 or 0xf0 or 0x2e or 0x36 or 0x3e or 0x26 or 0x64 or 0x65
                or (>= 0x40 and <= 0x4f))
        {
            at++;
        }

        return instruction[at..];
    }
}
