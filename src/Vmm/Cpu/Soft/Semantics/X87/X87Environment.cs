using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.X87;

/// <summary>
/// The environment of FSTENV, FLDENV, FSAVE and FRSTOR in its four layouts (SDM Vol. 1 figures 8-9 to 8-12).
/// <see cref="Operation.Immediate"/>: <see cref="Wide"/> for the 32-bit layouts, <see cref="RealMode"/> for the real-address ones.
/// </summary>
internal static unsafe class X87Environment
{
    public const ulong Wide = 1;
    public const ulong RealMode = 2;

    /// <summary>Environment and registers in the largest layout, rounded up to whole words.</summary>
    public const int MaximumSize = 112;

    public static int Size(Operation* op) => (op->Immediate & Wide) != 0 ? 28 : 14;

    public static int Write(CpuContext* cpu, Operation* op, byte* image)
    {
        ref XsaveArea area = ref cpu->State.Xsave;
        uint ip = (uint)area.InstructionPointer;
        uint dp = (uint)area.DataPointer;
        bool real = (op->Immediate & RealMode) != 0;
        if ((op->Immediate & Wide) != 0)
        {
            uint* words = (uint*)image;
            words[0] = 0xffff0000u | area.ControlWord;
            words[1] = 0xffff0000u | area.StatusWord;
            words[2] = 0xffff0000u | X87State.FullTagWord(cpu);
            words[3] = real ? 0xffff0000u | (ushort)ip : ip;
            words[4] = real ? ((ip >> 16) << 12) | area.Opcode : (uint)area.Opcode << 16;
            words[5] = real ? 0xffff0000u | (ushort)dp : dp;
            words[6] = real ? (dp >> 16) << 12 : 0xffff0000u;
            return 28;
        }

        ushort* halves = (ushort*)image;
        halves[0] = area.ControlWord;
        halves[1] = area.StatusWord;
        halves[2] = X87State.FullTagWord(cpu);
        halves[3] = (ushort)ip;
        halves[4] = real ? (ushort)((((ip >> 16) & 0xf) << 12) | area.Opcode) : (ushort)0;
        halves[5] = (ushort)dp;
        halves[6] = real ? (ushort)(((dp >> 16) & 0xf) << 12) : (ushort)0;
        return 14;
    }

    public static void Read(CpuContext* cpu, Operation* op, byte* image)
    {
        ref XsaveArea area = ref cpu->State.Xsave;
        bool real = (op->Immediate & RealMode) != 0;
        ushort status;
        ushort tags;
        if ((op->Immediate & Wide) != 0)
        {
            uint* words = (uint*)image;
            area.ControlWord = X87State.ValidControlWord((ushort)words[0]);
            status = (ushort)words[1];
            tags = (ushort)words[2];
            area.InstructionPointer = real ? (words[3] & 0xffff) | ((words[4] & 0x0ffff000) << 4) : words[3];
            area.Opcode = (ushort)((real ? words[4] : words[4] >> 16) & 0x7ff);
            area.DataPointer = real ? (words[5] & 0xffff) | ((words[6] & 0x0ffff000) << 4) : words[5];
        }
        else
        {
            ushort* halves = (ushort*)image;
            area.ControlWord = X87State.ValidControlWord(halves[0]);
            status = halves[1];
            tags = halves[2];
            area.InstructionPointer = real ? halves[3] | (((uint)halves[4] >> 12) << 16) : halves[3];
            area.Opcode = (ushort)(real ? halves[4] & 0x7ff : 0);
            area.DataPointer = real ? halves[5] | (((uint)halves[6] >> 12) << 16) : halves[5];
        }

        // The save area holds ST(0) first: a new TOP moves every register's slot.
        X87State.RotateStack(cpu, (status >> 11) & 7);
        area.StatusWord = status;
        area.TagWord = X87State.AbridgedTagWord(tags);
        X87State.Summarize(cpu);
    }

    public static bool TryStore(CpuContext* cpu, Operation* op, byte* image, int size)
    {
        ulong offset = GuestAccess.EffectiveAddress(cpu, op);
        for (int i = 0; i < size; i += 2)
        {
            if (!GuestAccess.TryWriteAt(cpu, op, (SegmentIndex)op->Segment, Wrap(op, offset + (ulong)i), *(ushort*)(image + i)))
            {
                return false;
            }
        }

        return true;
    }

    public static bool TryLoad(CpuContext* cpu, Operation* op, byte* image, int size)
    {
        ulong offset = GuestAccess.EffectiveAddress(cpu, op);
        for (int i = 0; i < size; i += 2)
        {
            if (!GuestAccess.TryReadAt(cpu, op, (SegmentIndex)op->Segment, Wrap(op, offset + (ulong)i), out ushort value))
            {
                return false;
            }

            *(ushort*)(image + i) = value;
        }

        return true;
    }

    private static ulong Wrap(Operation* op, ulong offset) =>
        (op->Flags & OperationFlags.Address32) != 0 ? (uint)offset
        : (op->Flags & OperationFlags.Address16) != 0 ? (ushort)offset
        : offset;
}
