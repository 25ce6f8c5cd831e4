using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Segmentation;

internal enum TaskSwitchResult
{
    Switched,

    /// <summary>A fault before the switch: the old task still runs, the fault is the instruction's.</summary>
    Refused,

    /// <summary>The new task runs and its first act is the recorded fault.</summary>
    FaultInNewTask,
}

/// <summary>Hardware task switches between 16- and 32-bit task state segments (SDM Vol. 3A §7.3).</summary>
internal static unsafe class TaskSwitch
{
    private const ulong Busy = 1UL << 41;

    /// <summary>JMP (no nesting) or CALL and task gates (nested) to the task of a TSS selector.</summary>
    public static TaskSwitchResult TrySwitch(
        CpuContext* cpu, ushort selector, bool nests, ulong returnRip, uint external = 0, uint? errorCode = null) =>
        Switch(cpu, selector, nests ? Kind.Nest : Kind.Jump, returnRip, external, errorCode);

    /// <summary>IRET with NT set.</summary>
    public static TaskSwitchResult TryReturn(CpuContext* cpu, ushort link, ulong returnRip) =>
        Switch(cpu, link, Kind.Return, returnRip, 0, null);

    private enum Kind
    {
        Jump,
        Nest,
        Return,
    }

    private static TaskSwitchResult Switch(CpuContext* cpu, ushort selector, Kind kind, ulong returnRip, uint external, uint? errorCode)
    {
        var fault = kind == Kind.Return ? ExceptionVector.InvalidTss : ExceptionVector.GeneralProtection;
        uint error = (uint)(selector & ~3) | external;
        if ((selector & 4) != 0 || (selector & ~3) == 0)
        {
            return Refuse(cpu, fault, error);
        }

        if (!DescriptorTables.TryRead(cpu, selector, out var descriptor, out bool inTable))
        {
            return TaskSwitchResult.Refused;
        }

        bool wide = (descriptor.Type & 8) != 0;
        int wanted = (wide ? 9 : 1) | (kind == Kind.Return ? 2 : 0);
        if (!inTable || descriptor.IsCodeOrData || descriptor.Type != wanted)
        {
            return Refuse(cpu, fault, error);
        }

        if (!descriptor.IsPresent)
        {
            return Refuse(cpu, ExceptionVector.SegmentNotPresent, error);
        }

        uint size = wide ? 104u : 44u;
        if (descriptor.Limit < size - 1)
        {
            return Refuse(cpu, ExceptionVector.InvalidTss, error);
        }

        byte* image = stackalloc byte[104];
        if (!TryReadImage(cpu, descriptor.Base, image, size) || !TrySaveOld(cpu, kind, returnRip))
        {
            return TaskSwitchResult.Refused;
        }

        return Enter(cpu, selector, in descriptor, image, wide, kind, errorCode);
    }

    private static TaskSwitchResult Enter(
        CpuContext* cpu, ushort selector, in Descriptor descriptor, byte* image, bool wide, Kind kind, uint? errorCode)
    {
        var oldTask = *Segments.Register(cpu, SegmentIndex.Tr);
        if (kind != Kind.Nest && !TrySetBusy(cpu, oldTask.Selector, busy: false))
        {
            return TaskSwitchResult.Refused;
        }

        if (kind == Kind.Nest && !SlowAccess.TryWriteSystem(cpu, new(descriptor.Base), oldTask.Selector))
        {
            return TaskSwitchResult.Refused;
        }

        if (kind != Kind.Return && !TrySetBusy(cpu, selector, busy: true))
        {
            return TaskSwitchResult.Refused;
        }

        // From here on the new task runs, and faults are its own.
        (descriptor with { Low = descriptor.Low | Busy }).LoadSystem(Segments.Register(cpu, SegmentIndex.Tr), selector, longMode: false);
        cpu->State.Cr0 |= Cr0.Ts;
        if (wide && (cpu->State.Cr0 & Cr0.Pg) != 0 && !AddressSpace.TryLoad(cpu, *(uint*)(image + 28)))
        {
            Faults.Record(cpu, ExceptionVector.InvalidTss, (uint)selector & ~3u);
            return TaskSwitchResult.FaultInNewTask;
        }

        LoadRegisters(cpu, image, wide, kind == Kind.Nest);
        cpu->State.Dr[7] &= ~0x155UL;
        if (!TryLoadSegments(cpu, image, wide))
        {
            return TaskSwitchResult.FaultInNewTask;
        }

        if (errorCode is { } code)
        {
            var stack = new StackFrame(
                cpu, *Segments.Register(cpu, SegmentIndex.Ss), cpu->State.Gpr[4], false, wide ? 4u : 2u,
                InnerStack.Privilege(cpu, cpu->Cpl));
            if (!stack.TryPush(cpu, code))
            {
                if (stack.Exceeded)
                {
                    Faults.Record(cpu, ExceptionVector.StackFault);
                }

                return TaskSwitchResult.FaultInNewTask;
            }

            stack.Commit(cpu);
        }

        if (wide && (*(ushort*)(image + 100) & 1) != 0)
        {
            // The T flag: a debug trap before the first instruction (DR6.BT).
            cpu->State.PendingDebug |= DebugRegisters.TaskSwitch;
        }

        return TaskSwitchResult.Switched;
    }

    private static bool TryReadImage(CpuContext* cpu, uint start, byte* image, uint size)
    {
        for (uint i = 0; i < size; i += 4)
        {
            if (!SlowAccess.TryReadSystem(cpu, new(start + i), out uint word))
            {
                return false;
            }

            *(uint*)(image + i) = word;
        }

        return true;
    }

    private static bool TrySaveOld(CpuContext* cpu, Kind kind, ulong returnRip)
    {
        var task = Segments.Register(cpu, SegmentIndex.Tr);
        uint start = (uint)task->Base;
        bool wide = ((uint)task->Attributes & 8) != 0;
        ulong flags = LazyFlags.ReadAll(cpu);
        if (kind == Kind.Return)
        {
            flags &= ~RflagsBits.Nt;
        }

        // Offsets: EIP 32, EFLAGS 36, eight registers from 40, six segments from 72; or IP 14, FLAGS 16, 18, 34.
        bool saved = wide
            ? SlowAccess.TryWriteSystem(cpu, new(start + 32), (uint)returnRip)
                && SlowAccess.TryWriteSystem(cpu, new(start + 36), (uint)flags)
            : SlowAccess.TryWriteSystem(cpu, new(start + 14), (ushort)returnRip)
                && SlowAccess.TryWriteSystem(cpu, new(start + 16), (ushort)flags);
        for (uint i = 0; saved && i < 8; i++)
        {
            saved = wide
                ? SlowAccess.TryWriteSystem(cpu, new(start + 40 + (i * 4)), (uint)cpu->State.Gpr[i])
                : SlowAccess.TryWriteSystem(cpu, new(start + 18 + (i * 2)), (ushort)cpu->State.Gpr[i]);
        }

        for (uint i = 0; saved && i < (wide ? 6u : 4u); i++)
        {
            ushort selector = Segments.Register(cpu, (SegmentIndex)i)->Selector;
            saved = SlowAccess.TryWriteSystem(cpu, new(start + (wide ? 72 + (i * 4) : 34 + (i * 2))), selector);
        }

        return saved;
    }

    private static bool TrySetBusy(CpuContext* cpu, ushort selector, bool busy)
    {
        if (!DescriptorTables.TryRead(cpu, selector, out var descriptor, out bool inTable) || !inTable)
        {
            return !inTable;
        }

        _ = DescriptorTables.TryLocate(cpu, selector, 8, out ulong address);
        ulong low = busy ? descriptor.Low | Busy : descriptor.Low & ~Busy;
        return SlowAccess.TryWriteSystem(cpu, new(address + 5), (byte)(low >> 40));
    }

    private static void LoadRegisters(CpuContext* cpu, byte* image, bool wide, bool nested)
    {
        ulong flags = wide ? *(uint*)(image + 36) : *(ushort*)(image + 16);
        flags = (flags & RflagsBits.Defined) | RflagsBits.Always | (nested ? RflagsBits.Nt : 0);
        LazyFlags.Write(cpu, flags);
        cpu->State.Rflags = flags;
        cpu->State.Rip = wide ? *(uint*)(image + 32) : *(ushort*)(image + 14);
        for (int i = 0; i < 8; i++)
        {
            cpu->State.Gpr[i] = wide ? *(uint*)(image + 40 + (i * 4)) : *(ushort*)(image + 18 + (i * 2));
        }
    }

    private static bool TryLoadSegments(CpuContext* cpu, byte* image, bool wide)
    {
        ushort* selectors = stackalloc ushort[6];
        for (int i = 0; i < 6; i++)
        {
            selectors[i] = wide ? *(ushort*)(image + 72 + (i * 4)) : i < 4 ? *(ushort*)(image + 34 + (i * 2)) : (ushort)0;
            SegmentLoad.LoadNull(cpu, (SegmentIndex)i, selectors[i]);
        }

        ushort ldt = wide ? *(ushort*)(image + 96) : *(ushort*)(image + 42);
        SegmentLoad.LoadNull(cpu, SegmentIndex.Ldtr, ldt);
        if ((ldt & ~3) != 0)
        {
            if (!DescriptorTables.TryRead(cpu, ldt, out var table, out bool inTable))
            {
                return false;
            }

            if ((ldt & 4) != 0 || !inTable || table.IsCodeOrData || table.Type != 2 || !table.IsPresent)
            {
                return CodeTransfer.Fail(cpu, ExceptionVector.InvalidTss, (uint)ldt & ~3u);
            }

            table.LoadSystem(Segments.Register(cpu, SegmentIndex.Ldtr), ldt, longMode: false);
        }

        if ((cpu->State.Rflags & RflagsBits.Vm) != 0)
        {
            for (int i = 0; i < 6; i++)
            {
                SegmentLoad.LoadVirtual8086(cpu, (SegmentIndex)i, selectors[i]);
            }

            cpu->Cpl = 3;
            return true;
        }

        ushort cs = selectors[(int)SegmentIndex.Cs];
        byte cpl = (byte)(cs & 3);
        cpu->Cpl = cpl;
        uint error = (uint)cs & ~3u;
        if (!DescriptorTables.TryRead(cpu, cs, out var code, out bool codeInTable))
        {
            return false;
        }

        bool valid = error != 0 && codeInTable && code.IsCode && (code.IsConforming ? code.Dpl <= cpl : code.Dpl == cpl);
        if (!valid)
        {
            return CodeTransfer.Fail(cpu, ExceptionVector.InvalidTss, error);
        }

        if (!code.IsPresent)
        {
            return CodeTransfer.Fail(cpu, ExceptionVector.SegmentNotPresent, error);
        }

        return CodeTransfer.TryLoad(cpu, cs, in code, cpl)
            && SegmentLoad.TryLoadStack(cpu, selectors[(int)SegmentIndex.Ss], cpl, ExceptionVector.InvalidTss, allowNull: false)
            && TryLoadData(cpu, SegmentIndex.Ds, selectors) && TryLoadData(cpu, SegmentIndex.Es, selectors)
            && TryLoadData(cpu, SegmentIndex.Fs, selectors) && TryLoadData(cpu, SegmentIndex.Gs, selectors);
    }

    private static bool TryLoadData(CpuContext* cpu, SegmentIndex segment, ushort* selectors)
    {
        if (SegmentLoad.TryLoad(cpu, segment, selectors[(int)segment]))
        {
            return true;
        }

        if (cpu->Exception == ExceptionVector.GeneralProtection)
        {
            cpu->Exception = ExceptionVector.InvalidTss;
        }

        return false;
    }

    private static TaskSwitchResult Refuse(CpuContext* cpu, ExceptionVector vector, uint error)
    {
        Faults.Record(cpu, vector, error);
        return TaskSwitchResult.Refused;
    }
}
