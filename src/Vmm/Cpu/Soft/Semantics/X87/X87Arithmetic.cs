using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.X87;

/// <summary>x87 instructions that compute: loads, stores, arithmetic, comparisons, stack movements, all executed by host stubs.</summary>
internal static unsafe class X87Arithmetic
{
    private const ulong HarmlessFlags = 0x202; // RFLAGS bit 1 and IF, as user code of the host has them.

    // The state that a computing instruction can change: control to data pointer, and the registers.
    private const int X87Bytes = XsaveArea.XmmOffset;

    /// <summary>No memory operand.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Register(CpuContext* cpu, Operation* op)
    {
        if (!IsAllowed(cpu))
        {
            return Refuse(cpu, op);
        }

        Execute(cpu, op, cpu->State.Xsave.DataPointer);
        return Dispatch.Next(cpu, op);
    }

    /// <summary>Memory operand of 2, 4 or 8 bytes that is read.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Load<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged
    {
        if (!IsAllowed(cpu))
        {
            return Refuse(cpu, op);
        }

        if (!GuestAccess.TryRead(cpu, op, out T value))
        {
            return Faults.Faulted(cpu, op);
        }

        Unsafe.WriteUnaligned(cpu->Vector.Memory, value);
        Execute(cpu, op, GuestAccess.EffectiveAddress(cpu, op));
        return Dispatch.Next(cpu, op);
    }


    /// <summary>Memory operand of 2, 4, 8 or 10 bytes that is written.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Store<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged
    {
        if (!IsAllowed(cpu))
        {
            return Refuse(cpu, op);
        }

        // A store that an exception may suppress still needs memory to store to.
        bool mayBeSuppressed = (cpu->State.Xsave.ControlWord & X87State.ExceptionFlags) != X87State.ExceptionFlags;
        if (mayBeSuppressed && !GuestAccess.TryTouch<T>(cpu, op))
        {
            return Faults.Faulted(cpu, op);
        }

        byte* before = stackalloc byte[X87Bytes];
        Unsafe.CopyBlock(before, &cpu->State.Xsave, X87Bytes);
        Execute(cpu, op, GuestAccess.EffectiveAddress(cpu, op));

        // With an unmasked exception other than precision, nothing is stored (SDM Vol. 1 §8.5).
        int unmasked = cpu->State.Xsave.StatusWord & ~cpu->State.Xsave.ControlWord & (X87State.ExceptionFlags & ~PrecisionFlag);
        if (unmasked != 0 || GuestAccess.TryWrite(cpu, op, Unsafe.ReadUnaligned<T>(cpu->Vector.Memory)))
        {
            return op + 1;
        }

        Unsafe.CopyBlock(&cpu->State.Xsave, before, X87Bytes);
        return Faults.Faulted(cpu, op);
    }

    private const int PrecisionFlag = 1 << 5;

    /// <summary>#NM with CR0.EM or CR0.TS, #MF when an exception is pending.</summary>
    public static bool IsAllowed(CpuContext* cpu) =>
        (cpu->State.Cr0 & (Cr0.Em | Cr0.Ts)) == 0 && !X87State.MustFault(cpu);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Refuse(CpuContext* cpu, Operation* op) =>
        (cpu->State.Cr0 & (Cr0.Em | Cr0.Ts)) != 0
            ? Faults.Raise(cpu, op, ExceptionVector.DeviceNotAvailable)
            : X87State.RaisePending(cpu, op);

    private static void Execute(CpuContext* cpu, Operation* op, ulong dataPointer)
    {
        var form = (X87Form*)op->Immediate;
        ref XsaveArea area = ref cpu->State.Xsave;

        // What the host loads must neither fault (MXCSR) nor trap (an exception that is pending, which CR0.NE lets the guest ignore).
        area.Mxcsr &= VectorFeatures.MxcsrMask;
        area.StatusWord &= unchecked((ushort)~(X87State.ErrorSummary | X87State.Busy));
        int unmasked = X87State.IsExceptionPending(cpu) ? ~area.ControlWord & X87State.ExceptionFlags : 0;
        area.ControlWord |= (ushort)unmasked;
        cpu->Vector.HostMxcsr = 0x1f80;
        if (form->UsesFlags)
        {
            cpu->Vector.Flags = HarmlessFlags | LazyFlags.Read(cpu);
        }

        form->Stub((byte*)cpu + CpuState.XsaveOffset, cpu->Vector.Memory, &cpu->Vector);
        if (form->UsesFlags)
        {
            LazyFlags.Write(cpu, cpu->Vector.Flags);
        }

        // The host recorded the stub's addresses.
        area.InstructionPointer = Faults.Rip(cpu, op);
        area.DataPointer = dataPointer;
        area.ControlWord &= (ushort)~unmasked;
        X87State.Summarize(cpu);
    }
}

/// <summary>An 80-bit memory operand.</summary>
[InlineArray(10)]
internal struct Bytes10
{
    private byte _first;
}
