using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Segmentation;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Branches;

/// <summary>IRET and RETF in every mode (SDM Vol. 2A IRET, Vol. 2B RET).</summary>
internal static unsafe class FarReturns
{
    private const MethodImplOptions Once = MethodImplOptions.AggressiveOptimization;

    /// <summary>Flags that IRET sets whatever the privilege.</summary>
    private const ulong AlwaysRestored = RflagsBits.Arithmetic | RflagsBits.Tf | RflagsBits.Df | RflagsBits.Nt | RflagsBits.Rf
        | RflagsBits.Ac | RflagsBits.Id;

    /// <summary>What a far return takes from the stack.</summary>
    private ref struct Frame
    {
        public ulong Rip;
        public ushort Cs;
        public ulong Flags;

        /// <summary>Bytes up to the stack pointer of an outer level.</summary>
        public uint Size;
    }

    [MethodImpl(Once)]
    public static Operation* InterruptReturn<TWidth>(CpuContext* cpu, Operation* op)
        where TWidth : unmanaged, IBinaryInteger<TWidth>
    {
        bool isProtected = (cpu->State.Cr0 & Cr0.Pe) != 0;
        bool virtual8086 = isProtected && (cpu->State.Rflags & RflagsBits.Vm) != 0;
        bool longMode = (cpu->State.Efer & Efer.Lma) != 0;
        if (virtual8086 && cpu->Iopl < 3)
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        if (isProtected && !virtual8086 && (cpu->State.Rflags & RflagsBits.Nt) != 0)
        {
            return longMode ? Faults.Raise(cpu, op, ExceptionVector.GeneralProtection) : FarBranches.TaskReturn(cpu, op);
        }

        var frame = default(Frame);
        if (!GuestAccess.TryPeek(cpu, op, 0, out TWidth rip)
            || !GuestAccess.TryPeek(cpu, op, (uint)sizeof(TWidth), out TWidth cs)
            || !GuestAccess.TryPeek(cpu, op, (uint)sizeof(TWidth) * 2, out TWidth flags))
        {
            return Faults.Faulted(cpu, op);
        }

        frame.Rip = ulong.CreateTruncating(rip);
        frame.Cs = ushort.CreateTruncating(cs);
        frame.Flags = ulong.CreateTruncating(flags);
        frame.Size = (uint)sizeof(TWidth) * 3;
        if (!isProtected || virtual8086)
        {
            return ReturnReal<TWidth>(cpu, op, in frame, restoresFlags: true, virtual8086);
        }

        if (sizeof(TWidth) == 4 && !longMode && (frame.Flags & RflagsBits.Vm) != 0 && cpu->Cpl == 0)
        {
            return ReturnToVirtual8086(cpu, op, in frame);
        }

        byte cpl = cpu->Cpl;
        int iopl = cpu->Iopl;
        if (!TryReturn<TWidth>(cpu, op, in frame, alwaysPopsStack: (op->Flags & OperationFlags.Long) != 0, release: 0))
        {
            return Faults.Faulted(cpu, op);
        }

        cpu->State.NmiBlocked = 0;
        RestoreFlags(cpu, frame.Flags, AlwaysRestored
            | (cpl == 0 ? RflagsBits.Iopl | RflagsBits.Vif | RflagsBits.Vip : 0) | (cpl <= iopl ? RflagsBits.If : 0), sizeof(TWidth) == 2);
        return GoOn(cpu, frame.Rip);
    }

    /// <summary>RETF, releasing <see cref="Operation.Immediate"/> bytes of parameters.</summary>
    [MethodImpl(Once)]
    public static Operation* Return<TWidth>(CpuContext* cpu, Operation* op)
        where TWidth : unmanaged, IBinaryInteger<TWidth>
    {
        var frame = default(Frame);
        if (!GuestAccess.TryPeek(cpu, op, 0, out TWidth rip) || !GuestAccess.TryPeek(cpu, op, (uint)sizeof(TWidth), out TWidth cs))
        {
            return Faults.Faulted(cpu, op);
        }

        frame.Rip = ulong.CreateTruncating(rip);
        frame.Cs = ushort.CreateTruncating(cs);
        frame.Size = (uint)sizeof(TWidth) * 2;
        bool isProtected = (cpu->State.Cr0 & Cr0.Pe) != 0;
        if (!isProtected || (cpu->State.Rflags & RflagsBits.Vm) != 0)
        {
            return ReturnReal<TWidth>(cpu, op, in frame, restoresFlags: false, isProtected);
        }

        return TryReturn<TWidth>(cpu, op, in frame, alwaysPopsStack: false, (uint)op->Immediate)
            ? GoOn(cpu, frame.Rip)
            : Faults.Faulted(cpu, op);
    }

    /// <summary>Everything that derives from CS, SS and the flags is renewed, and the target looked up unless an event is due.</summary>
    public static Operation* GoOn(CpuContext* cpu, ulong rip)
    {
        ProcessorMode.Update(cpu);
        bool due = (cpu->State.Rflags & RflagsBits.Tf) != 0 || ((cpu->State.Rflags & RflagsBits.If) != 0 && cpu->InterruptLatched != 0)
            || (cpu->State.NmiPending != 0 && cpu->State.NmiBlocked == 0) || cpu->State.PendingDebug != 0;
        if (!due)
        {
            return BlockChain.Jump(cpu, rip);
        }

        cpu->State.Rip = rip;
        cpu->Outcome = Outcome.Continue;
        return null;
    }

    private static Operation* ReturnReal<TWidth>(CpuContext* cpu, Operation* op, in Frame frame, bool restoresFlags, bool virtual8086)
        where TWidth : unmanaged, IBinaryInteger<TWidth>
    {
        if (frame.Rip > (virtual8086 ? 0xffff : Segments.Register(cpu, SegmentIndex.Cs)->Limit))
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        GuestAccess.SetStackPointer(cpu, op, cpu->State.Gpr[4] + frame.Size + op->Immediate);
        SegmentLoad.LoadReal(cpu, SegmentIndex.Cs, frame.Cs);
        if (restoresFlags)
        {
            ulong changeable = AlwaysRestored | RflagsBits.If | (virtual8086 ? 0 : RflagsBits.Iopl);
            RestoreFlags(cpu, frame.Flags, changeable, sizeof(TWidth) == 2);
            cpu->State.NmiBlocked = 0;
        }

        return GoOn(cpu, frame.Rip);
    }

    private static bool TryReturn<TWidth>(CpuContext* cpu, Operation* op, in Frame frame, bool alwaysPopsStack, uint release)
        where TWidth : unmanaged, IBinaryInteger<TWidth>
    {
        if (!CodeTransfer.TryFetch(cpu, frame.Cs, 0, out var code) || !CodeTransfer.TryCheckReturn(cpu, frame.Cs, in code))
        {
            return false;
        }

        int cpl = frame.Cs & 3;
        bool outer = cpl > cpu->Cpl;
        ulong stack = cpu->State.Gpr[4] + frame.Size + release;
        if (!outer && !alwaysPopsStack)
        {
            if (!CodeTransfer.TryCheckTarget(cpu, in code, frame.Rip) || !CodeTransfer.TryLoad(cpu, frame.Cs, in code, cpl))
            {
                return false;
            }

            GuestAccess.SetStackPointer(cpu, op, stack);
            return true;
        }

        if (!GuestAccess.TryPeek(cpu, op, frame.Size + release, out TWidth newStack)
            || !GuestAccess.TryPeek(cpu, op, frame.Size + release + (uint)sizeof(TWidth), out TWidth newSs))
        {
            return false;
        }

        ushort ss = ushort.CreateTruncating(newSs);
        bool to64 = CodeTransfer.IsLongCode(cpu, in code);
        if (!SegmentLoad.TryCheckStack(cpu, ss, cpl, ExceptionVector.GeneralProtection, allowNull: to64, 0, out var stackDescriptor)
            || !CodeTransfer.TryCheckTarget(cpu, in code, frame.Rip)
            || !CodeTransfer.TryLoad(cpu, frame.Cs, in code, cpl))
        {
            return false;
        }

        if ((ss & ~3) == 0)
        {
            SegmentLoad.LoadNull(cpu, SegmentIndex.Ss, ss);
        }
        else if (!DescriptorTables.TrySetAccessed(cpu, ss, in stackDescriptor))
        {
            return false;
        }
        else
        {
            stackDescriptor.Load(Segments.Register(cpu, SegmentIndex.Ss), ss);
        }

        SetStack(cpu, ulong.CreateTruncating(newStack) + release, to64, stackDescriptor.IsDefault32 || (ss & ~3) == 0);
        if (outer)
        {
            ForgetInnerSegments(cpu, cpl);
        }

        return true;
    }

    private static void SetStack(CpuContext* cpu, ulong value, bool to64, bool wide)
    {
        if (to64)
        {
            cpu->State.Gpr[4] = value;
        }
        else if (wide)
        {
            cpu->State.Gpr[4] = (uint)value;
        }
        else
        {
            *(ushort*)&cpu->State.Gpr[4] = (ushort)value;
        }
    }

    /// <summary>Segments that the outer level may not use become null (SDM Vol. 3A §5.8.6).</summary>
    private static void ForgetInnerSegments(CpuContext* cpu, int cpl)
    {
        for (var segment = SegmentIndex.Es; segment <= SegmentIndex.Gs; segment++)
        {
            if (segment is SegmentIndex.Cs or SegmentIndex.Ss)
            {
                continue;
            }

            var register = Segments.Register(cpu, segment);
            var attributes = register->Attributes;
            bool conforming = (attributes & (SegmentAttributes.Code | SegmentAttributes.ExpandDownOrConforming))
                == (SegmentAttributes.Code | SegmentAttributes.ExpandDownOrConforming);
            if ((attributes & SegmentAttributes.Unusable) != 0)
            {
                // Null, which Intel's processors make the selector 0 of (SDM Vol. 2A, IRET: RETURN-TO-OUTER-PRIVILEGE-LEVEL); AMD's leave
                // its RPL.
                register->Selector = cpu->Vendor == CpuVendor.Intel ? (ushort)0 : register->Selector;
            }
            else if (!conforming && (((uint)attributes >> 5) & 3) < cpl)
            {
                register->Selector = 0;
                register->Attributes = SegmentAttributes.Unusable;
            }
        }
    }

    private static Operation* ReturnToVirtual8086(CpuContext* cpu, Operation* op, in Frame frame)
    {
        uint* values = stackalloc uint[6];
        for (uint i = 0; i < 6; i++)
        {
            if (!GuestAccess.TryPeek(cpu, op, frame.Size + (i * 4), out values[i]))
            {
                return Faults.Faulted(cpu, op);
            }
        }

        if (frame.Rip > 0xffff)
        {
            return Faults.Raise(cpu, op, ExceptionVector.GeneralProtection);
        }

        SegmentLoad.LoadVirtual8086(cpu, SegmentIndex.Cs, frame.Cs);
        SegmentLoad.LoadVirtual8086(cpu, SegmentIndex.Ss, (ushort)values[1]);
        SegmentLoad.LoadVirtual8086(cpu, SegmentIndex.Es, (ushort)values[2]);
        SegmentLoad.LoadVirtual8086(cpu, SegmentIndex.Ds, (ushort)values[3]);
        SegmentLoad.LoadVirtual8086(cpu, SegmentIndex.Fs, (ushort)values[4]);
        SegmentLoad.LoadVirtual8086(cpu, SegmentIndex.Gs, (ushort)values[5]);
        cpu->State.Gpr[4] = values[0];
        cpu->State.NmiBlocked = 0;
        RestoreFlags(cpu, frame.Flags, RflagsBits.Defined, narrow: false);
        return GoOn(cpu, frame.Rip);
    }

    private static void RestoreFlags(CpuContext* cpu, ulong value, ulong changeable, bool narrow)
    {
        if (narrow)
        {
            changeable &= 0xffff;
        }

        ulong flags = (LazyFlags.ReadAll(cpu) & ~changeable) | (value & changeable) | RflagsBits.Always;

        // RF only means something while instruction breakpoints are set; there it is cleared after one instruction.
        if (!DebugRegisters.HasCode(cpu))
        {
            flags &= ~RflagsBits.Rf;
        }

        LazyFlags.Write(cpu, flags);
        cpu->State.Rflags = flags;
    }
}
