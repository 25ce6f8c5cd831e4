using System.Globalization;
using System.Runtime.InteropServices;
using WebVm.Vmm.Cpu.Soft;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.State;
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
    public KvmAssist(KvmVcpuState transfer, GuestMemory memory, PhysicalMap map, IGuestBus bus, KvmExtendedStateAssist? extended)
    {
        _extended = extended;
        _transfer = transfer;
        _interpreter = new SoftInterpreter(memory, map, bus);
        _state = (CpuState*)NativeMemory.AlignedAlloc((nuint)sizeof(CpuState) * 2, 64);
        NativeMemory.Clear(_state, (nuint)sizeof(CpuState) * 2);
        _before = _state + 1;
    }

    /// <summary>Executes the instruction that the vCPU stopped at, exception included.</summary>
    /// <param name="instruction">Its bytes as far as KVM knows them; it decides how much state has to move.</param>
    public void Complete(ReadOnlySpan<byte> instruction)
    {
        bool all = UsesModelSpecificState(instruction);
        if (all)
        {
            _transfer.Save(_state);
        }
        else
        {
            _transfer.SaveRegisters(_state);
            _transfer.SaveExtended(_state);
        }

        // KVM queues #UD before it gives up; the instruction has yet to say whether it raises one.
        _state->PendingEvent = 0;
        _state->InterruptShadow = 0;
        *_before = *_state;
        if (_extended is not null && _extended.TryComplete(_state, instruction))
        {
            _transfer.LoadRegisters(_state);
            return;
        }

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

        if (all)
        {
            _transfer.LoadChangedMsrs(_before, _state);
            if (!new ReadOnlySpan<ulong>(_before->Dr, 8).SequenceEqual(new ReadOnlySpan<ulong>(_state->Dr, 8)))
            {
                _transfer.LoadDebugRegisters(_state);
            }
        }

        _transfer.LoadRegisters(_state);
        if (!new ReadOnlySpan<byte>(&_before->Xsave, sizeof(XsaveArea)).SequenceEqual(new ReadOnlySpan<byte>(&_state->Xsave, sizeof(XsaveArea)))
            || _before->Xcr0 != _state->Xcr0)
        {
            _transfer.LoadExtended(_state, initialize: false);
        }
    }

    public void Dispose()
    {
        _interpreter.Dispose();
        NativeMemory.AlignedFree(_state);
    }

    /// <summary>Where the last completed instruction was, for a report of what goes wrong.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"assisted at 0x{_before->Rip:x}, now at 0x{_state->Rip:x}");

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
                _state->Dr[6] |= result.Address;
                break;
            default:
                break;
        }
    }

    /// <summary>Instructions that read or write MSRs or debug registers: all of the state moves for them.</summary>
    private static bool UsesModelSpecificState(ReadOnlySpan<byte> instruction)
    {
        int at = 0;
        while (at < instruction.Length && instruction[at] is 0x66 or 0x67 or 0xf2 or 0xf3 or 0xf0 or 0x2e or 0x36 or 0x3e or 0x26 or 0x64 or 0x65 or (>= 0x40 and <= 0x4f))
        {
            at++;
        }

        if (at + 1 >= instruction.Length)
        {
            return true;
        }

        // SYSCALL, SYSRET, SYSENTER, SYSEXIT, RDMSR, WRMSR, RDTSC, MOV DR, and the group of SWAPGS and RDTSCP.
        return instruction[at] switch
        {
            0x0f => instruction[at + 1] is 0x05 or 0x07 or 0x34 or 0x35 or 0x30 or 0x31 or 0x32 or 0x21 or 0x23
                || (instruction[at + 1] == 0x01 && at + 2 < instruction.Length && instruction[at + 2] is 0xf8 or 0xf9)
                || (instruction[at + 1] == 0xc7 && at + 2 < instruction.Length && (instruction[at + 2] >> 3 & 7) is 3 or 4 or 5),
            0xf1 or 0xcc or 0xcd => true,
            _ => false,
        };
    }
}
