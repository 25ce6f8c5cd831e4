using Iced.Intel;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Semantics.Branches;
using WebVm.Vmm.Cpu.Soft.Semantics.SystemInstructions;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Decoding;

/// <summary>Chooses the handlers of system instructions: privileged ones and those that read or change what decoding depends on.</summary>
internal static unsafe partial class SystemSelector
{
    public static bool TrySelect(in Instruction instruction, in DecodeMode mode, Operation* operation)
    {
        switch (instruction.Mnemonic)
        {
            case Mnemonic.Hlt: return Ends(operation, &ProcessorControl.Halt);
            case Mnemonic.Pause: return Select(operation, &ProcessorControl.Pause);
            case Mnemonic.Cpuid: return Select(operation, &ProcessorControl.Identify);
            case Mnemonic.Invd or Mnemonic.Wbinvd or Mnemonic.Wbnoinvd: return Select(operation, &ProcessorControl.PrivilegedNothing);
            case Mnemonic.Rdrand or Mnemonic.Rdseed:
                operation->Immediate = OperandBytes(in instruction);
                return Select(operation, &ProcessorControl.Random);
            case Mnemonic.Rdpkru: return Select(operation, &ProtectionKeys.Read);
            case Mnemonic.Wrpkru: return Select(operation, &ProtectionKeys.Write);
            case Mnemonic.Rdpid: return Select(operation, &ProcessorControl.ReadProcessorId);
            case Mnemonic.Rdfsbase or Mnemonic.Rdgsbase or Mnemonic.Wrfsbase or Mnemonic.Wrgsbase:
                return SelectBase(in instruction, operation);
            case Mnemonic.Swapgs: return Select(operation, &ProcessorControl.SwapGs);
            case Mnemonic.Xsetbv: return Select(operation, &ControlRegisters.SetExtendedControl);
            case Mnemonic.Clts: return Select(operation, &ControlRegisters.ClearTaskSwitched);
            case Mnemonic.Lmsw: return EndsOperand(in instruction, operation, &ControlRegisters.LoadMachineStatus);
            case Mnemonic.Smsw: return SelectOperand(in instruction, operation, &ControlRegisters.StoreMachineStatus);
            case Mnemonic.Invlpg: return Ends(operation, &ControlRegisters.InvalidatePage);
            case Mnemonic.Invpcid: return Ends(operation, &ControlRegisters.InvalidatePcid);
            case Mnemonic.Vmcall or Mnemonic.Vmmcall: return Ends(operation, &ProcessorControl.Hypercall);
            case Mnemonic.Rdmsr: return Select(operation, &ModelSpecificRegisterAccess.Read);
            case Mnemonic.Wrmsr: return Ends(operation, &ModelSpecificRegisterAccess.Write);
            case Mnemonic.Rdpmc: return Ends(operation, &ProcessorControl.ReadCounter);
            case Mnemonic.Rdtsc: return Select(operation, &ModelSpecificRegisterAccess.ReadTimeStamp);
            case Mnemonic.Rdtscp: return Select(operation, &ModelSpecificRegisterAccess.ReadTimeStampAndProcessor);
            case Mnemonic.Mov: return SelectMove(in instruction, operation);
            case Mnemonic.Cli: return Select(operation, &FlagInstructions.ClearInterrupt);
            case Mnemonic.Sti: return Select(operation, &FlagInstructions.SetInterrupt);
            case Mnemonic.Clac: return Select(operation, &FlagInstructions.ClearAlignmentCheck);
            case Mnemonic.Stac: return Select(operation, &FlagInstructions.SetAlignmentCheck);
            case Mnemonic.Pushf: return Select(operation, &FlagInstructions.Push<ushort>);
            case Mnemonic.Pushfd: return Select(operation, &FlagInstructions.Push<uint>);
            case Mnemonic.Pushfq: return Select(operation, &FlagInstructions.Push<ulong>);
            case Mnemonic.Popf: return Select(operation, &FlagInstructions.Pop<ushort>);
            case Mnemonic.Popfd: return Select(operation, &FlagInstructions.Pop<uint>);
            case Mnemonic.Popfq: return Select(operation, &FlagInstructions.Pop<ulong>);
            case Mnemonic.Syscall: return Select(operation, &SystemCalls.SystemCall);
            case Mnemonic.Sysret or Mnemonic.Sysretq:
                operation->Immediate = instruction.Code == Code.Sysretq ? 1u : 0;
                return Select(operation, &SystemCalls.SystemReturn);
            case Mnemonic.Sysenter: return Select(operation, &SystemCalls.SystemEnter);
            case Mnemonic.Sysexit or Mnemonic.Sysexitq:
                operation->Immediate = instruction.Code == Code.Sysexitq ? 1u : 0;
                return Select(operation, &SystemCalls.SystemExit);
            case Mnemonic.In: return SelectIn(in instruction, operation);
            case Mnemonic.Out: return SelectOut(in instruction, operation);
            case Mnemonic.Insb: return Select(operation, &PortInstructions.InString<byte>);
            case Mnemonic.Insw: return Select(operation, &PortInstructions.InString<ushort>);
            case Mnemonic.Insd: return Select(operation, &PortInstructions.InString<uint>);
            case Mnemonic.Outsb: return Select(operation, &PortInstructions.OutString<byte>);
            case Mnemonic.Outsw: return Select(operation, &PortInstructions.OutString<ushort>);
            case Mnemonic.Outsd: return Select(operation, &PortInstructions.OutString<uint>);
            case Mnemonic.Int: return Select(operation, &SoftwareInterrupts.Interrupt);
            case Mnemonic.Int3: return Select(operation, &SoftwareInterrupts.Breakpoint);
            case Mnemonic.Int1: return Select(operation, &SoftwareInterrupts.Debug);
            case Mnemonic.Into: return Select(operation, &SoftwareInterrupts.Overflow);
            default: return TrySelectSegmentation(in instruction, in mode, operation);
        }
    }

    private static bool Select(Operation* operation, delegate*<CpuContext*, Operation*, Operation*> handler)
    {
        operation->Handler = handler;
        return true;
    }

    /// <summary>The instruction changes what the following ones are decoded or translated by.</summary>
    private static bool Ends(Operation* operation, delegate*<CpuContext*, Operation*, Operation*> handler)
    {
        operation->Flags |= OperationFlags.Last;
        return Select(operation, handler);
    }

    private static bool SelectOperand(
        in Instruction instruction, Operation* operation, delegate*<CpuContext*, Operation*, Operation*> handler)
    {
        MarkOperand(in instruction, 0, operation);
        return Select(operation, handler);
    }

    private static bool EndsOperand(
        in Instruction instruction, Operation* operation, delegate*<CpuContext*, Operation*, Operation*> handler)
    {
        MarkOperand(in instruction, 0, operation);
        return Ends(operation, handler);
    }

    /// <summary>Tells <see cref="Operand"/> whether an operand is a register, and the operand size.</summary>
    private static void MarkOperand(in Instruction instruction, int index, Operation* operation)
    {
        bool isRegister = instruction.GetOpKind(index) == OpKind.Register;
        operation->Reg2 = isRegister ? Operand.IsRegister : (byte)0;
        operation->Immediate = isRegister ? RegisterBytes(instruction.GetOpRegister(index)) : 2;
    }

    private static uint OperandBytes(in Instruction instruction) => RegisterBytes(instruction.Op0Register);

    private static uint RegisterBytes(Register register) => (uint)register.GetSize();

    private static bool SelectBase(in Instruction instruction, Operation* operation)
    {
        operation->Segment = (byte)(instruction.Mnemonic is Mnemonic.Rdfsbase or Mnemonic.Wrfsbase ? SegmentIndex.Fs : SegmentIndex.Gs);
        bool wide = OperandBytes(in instruction) == 8;
        return instruction.Mnemonic is Mnemonic.Rdfsbase or Mnemonic.Rdgsbase
            ? Select(operation, wide ? &ProcessorControl.ReadBase<ulong> : &ProcessorControl.ReadBase<uint>)
            : Select(operation, wide ? &ProcessorControl.WriteBase<ulong> : &ProcessorControl.WriteBase<uint>);
    }

    private static bool SelectIn(in Instruction instruction, Operation* operation)
    {
        operation->Reg2 = instruction.Op1Kind == OpKind.Register ? PortInstructions.PortInDx : (byte)0;
        return Select(operation, OperandBytes(in instruction) switch
        {
            1 => &PortInstructions.In<byte>,
            2 => &PortInstructions.In<ushort>,
            _ => &PortInstructions.In<uint>,
        });
    }

    private static bool SelectOut(in Instruction instruction, Operation* operation)
    {
        operation->Reg2 = instruction.Op0Kind == OpKind.Register ? PortInstructions.PortInDx : (byte)0;
        return Select(operation, RegisterBytes(instruction.Op1Register) switch
        {
            1 => &PortInstructions.Out<byte>,
            2 => &PortInstructions.Out<ushort>,
            _ => &PortInstructions.Out<uint>,
        });
    }

    private static bool SelectMove(in Instruction instruction, Operation* operation)
    {
        var first = instruction.Op0Kind == OpKind.Register ? instruction.Op0Register : Register.None;
        var second = instruction.Op1Kind == OpKind.Register ? instruction.Op1Register : Register.None;
        if (first.IsCR())
        {
            return Ends(operation, &ControlRegisters.MoveTo);
        }

        if (second.IsCR())
        {
            return Select(operation, &ControlRegisters.MoveFrom);
        }

        if (first.IsDR())
        {
            return Ends(operation, &DebugRegisterInstructions.MoveTo);
        }

        if (second.IsDR())
        {
            return Select(operation, &DebugRegisterInstructions.MoveFrom);
        }

        if (first.IsSegmentRegister() && first != Register.CS)
        {
            MarkOperand(in instruction, 1, operation);
            operation->Reg0 = OperationDecoder.RegisterNumber(second);
            operation->Reg1 = (byte)(first - Register.ES);
            return first == Register.SS ? Ends(operation, &SegmentInstructions.MoveTo) : Select(operation, &SegmentInstructions.MoveTo);
        }

        if (second.IsSegmentRegister())
        {
            MarkOperand(in instruction, 0, operation);
            operation->Reg0 = OperationDecoder.RegisterNumber(first);
            operation->Reg1 = (byte)(second - Register.ES);
            return Select(operation, &SegmentInstructions.MoveFrom);
        }

        return false;
    }
}
