using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Segmentation;

/// <summary>The stacks for inner privilege levels in the task state segment (SDM Vol. 3A §5.8.5, §7.2.1, §7.7).</summary>
internal static unsafe class InnerStack
{
    /// <summary>
    /// Finds and checks SS:rSP of a level; in IA-32e mode SS is null and <paramref name="stackTable"/> (1-7) may name an IST entry.
    /// </summary>
    public static bool TryFind(
        CpuContext* cpu, int cpl, int stackTable, uint external, out ushort ss, out Descriptor descriptor, out ulong pointer)
    {
        ss = (ushort)cpl;
        descriptor = default;
        pointer = 0;
        var task = Segments.Register(cpu, SegmentIndex.Tr);
        uint taskError = (uint)(task->Selector & ~3) | external;
        bool longMode = (cpu->State.Efer & Efer.Lma) != 0;
        bool narrow = ((uint)task->Attributes & 0xd) == 1;
        uint slot = longMode ? (uint)(stackTable != 0 ? 0x24 + ((stackTable - 1) * 8) : 4 + (cpl * 8))
            : narrow ? (uint)((cpl * 4) + 2) : (uint)((cpl * 8) + 4);
        uint length = longMode ? 8u : narrow ? 4u : 6u;
        if ((ulong)slot + length - 1 > task->Limit)
        {
            return CodeTransfer.Fail(cpu, ExceptionVector.InvalidTss, taskError);
        }

        if (longMode)
        {
            return SlowAccess.TryReadSystem(cpu, new(task->Base + slot), out pointer)
                && (SlowAccess.IsCanonical(cpu, pointer) || CodeTransfer.Fail(cpu, ExceptionVector.StackFault, external));
        }

        if (narrow)
        {
            if (!SlowAccess.TryReadSystem(cpu, new((uint)(task->Base + slot)), out uint both))
            {
                return false;
            }

            pointer = (ushort)both;
            ss = (ushort)(both >> 16);
        }
        else
        {
            if (!SlowAccess.TryReadSystem(cpu, new((uint)(task->Base + slot)), out uint wide)
                || !SlowAccess.TryReadSystem(cpu, new((uint)(task->Base + slot + 4)), out ss))
            {
                return false;
            }

            pointer = wide;
        }

        return SegmentLoad.TryCheckStack(cpu, ss, cpl, ExceptionVector.InvalidTss, allowNull: false, external, out descriptor);
    }

    /// <summary>The rights of pushes at a privilege level.</summary>
    public static Privilege Privilege(CpuContext* cpu, int cpl) => cpl == 3 ? Paging.Privilege.User
        : (cpu->State.Cr4 & Cr4.Smap) != 0 && (cpu->State.Rflags & RflagsBits.Ac) == 0
            ? Paging.Privilege.Supervisor
            : Paging.Privilege.SupervisorOpen;
}
