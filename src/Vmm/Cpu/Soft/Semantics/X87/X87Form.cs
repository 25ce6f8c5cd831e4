using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Iced.Intel;
using WebVm.Vmm.Cpu.Soft.Context;

namespace WebVm.Vmm.Cpu.Soft.Semantics.X87;

/// <summary>An x87 instruction form that executes as a host stub. Native and immortal.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct X87Form
{
    /// <summary>The host stub: save area, memory operand's bytes, scratch.</summary>
    public delegate* unmanaged[SuppressGCTransition]<byte*, byte*, VectorScratch*, void> Stub;

    /// <summary>Reads or writes ZF, PF, CF: FCMOVcc, FCOMI and their kind.</summary>
    public bool UsesFlags;
}

/// <summary>
/// Makes and remembers x87 stubs. A stub loads the guest's x87 state by FXRSTOR, executes the instruction with the guest's own control
/// word, and saves by FXSAVE. Unmasked exceptions are thus decided by the hardware, yet never trap on the host: x87 exceptions wait for
/// the next waiting instruction, and neither FXSAVE nor FNINIT, which follow, is one (SDM Vol. 1 §8.7, Vol. 2A FXSAVE).
/// </summary>
internal static unsafe class X87Forms
{
    private static readonly ConcurrentDictionary<Code, nint> _memoryForms = new();
    private static readonly ConcurrentDictionary<(Code Code, Register Register), nint> _registerForms = new();
    private static readonly Lock _gate = new();

    public static X87Form* Of(in Instruction instruction)
    {
        lock (_gate)
        {
            for (int i = 0; i < instruction.OpCount; i++)
            {
                if (instruction.GetOpKind(i) == OpKind.Memory)
                {
                    return (X87Form*)_memoryForms.GetOrAdd(instruction.Code, static (_, it) => Create(in it), instruction);
                }
            }

            Register other = Register.None;
            for (int i = 0; i < instruction.OpCount; i++)
            {
                Register register = instruction.GetOpRegister(i);
                other = register is > Register.ST0 and <= Register.ST7 ? register : other;
            }

            return (X87Form*)_registerForms.GetOrAdd((instruction.Code, other), static (_, it) => Create(in it), instruction);
        }
    }

    private static nint Create(in Instruction original)
    {
        Instruction instruction = original;
        for (int i = 0; i < instruction.OpCount; i++)
        {
            if (instruction.GetOpKind(i) == OpKind.Memory)
            {
                instruction.MemoryBase = Register.RSI;
                instruction.MemoryIndex = Register.None;
                instruction.MemoryIndexScale = 1;
                instruction.MemoryDisplacement64 = 0;
                instruction.MemoryDisplSize = 0;
                instruction.SegmentPrefix = Register.None;
            }
        }

        var area = new MemoryOperand(Register.RDI);
        var flags = new MemoryOperand(Register.RDX, VectorScratch.FlagsOffset, 1);
        var hostMxcsr = new MemoryOperand(Register.RDX, VectorScratch.HostMxcsrOffset, 1);
        bool usesFlags = original.RflagsRead != Iced.Intel.RflagsBits.None || original.RflagsModified != Iced.Intel.RflagsBits.None;
        var code = new List<Instruction> { Instruction.Create(Code.Fxrstor64_m512byte, area) };
        if (usesFlags)
        {
            code.Add(Instruction.Create(Code.Push_rm64, flags));
            code.Add(Instruction.Create(Code.Popfq));
        }

        code.Add(instruction);
        if (usesFlags)
        {
            code.Add(Instruction.Create(Code.Pushfq));
            code.Add(Instruction.Create(Code.Pop_rm64, flags));
        }

        code.Add(Instruction.Create(Code.Fxsave64_m512byte, area));
        code.Add(Instruction.Create(Code.Fninit));
        code.Add(Instruction.Create(Code.Ldmxcsr_m32, hostMxcsr));
        code.Add(Instruction.Create(Code.Retnq));

        var form = (X87Form*)NativeMemory.AllocZeroed((nuint)sizeof(X87Form));
        form->UsesFlags = usesFlags;
        form->Stub = (delegate* unmanaged[SuppressGCTransition]<byte*, byte*, VectorScratch*, void>)HostStub.Encode(code);
        return (nint)form;
    }
}
