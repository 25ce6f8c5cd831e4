using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.X87;

/// <summary>x87 control instructions: control and status word, FWAIT, environment (SDM Vol. 1 §8.3.10).</summary>
internal static unsafe class X87Control
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Fninit(CpuContext* cpu, Operation* op)
    {
        if (!IsPresent(cpu))
        {
            return Faults.Raise(cpu, op, ExceptionVector.DeviceNotAvailable);
        }

        X87State.Initialize(cpu);
        return op + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Fnclex(CpuContext* cpu, Operation* op)
    {
        if (!IsPresent(cpu))
        {
            return Faults.Raise(cpu, op, ExceptionVector.DeviceNotAvailable);
        }

        // Exception flags, stack fault, ES and B.
        cpu->State.Xsave.StatusWord &= 0x7f00;
        return op + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Fnstcw(CpuContext* cpu, Operation* op) =>
        !IsPresent(cpu) ? Faults.Raise(cpu, op, ExceptionVector.DeviceNotAvailable)
        : GuestAccess.TryWrite(cpu, op, cpu->State.Xsave.ControlWord) ? op + 1
        : Faults.Faulted(cpu, op);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Fnstsw(CpuContext* cpu, Operation* op) =>
        !IsPresent(cpu) ? Faults.Raise(cpu, op, ExceptionVector.DeviceNotAvailable)
        : GuestAccess.TryWrite(cpu, op, cpu->State.Xsave.StatusWord) ? op + 1
        : Faults.Faulted(cpu, op);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* FnstswAx(CpuContext* cpu, Operation* op)
    {
        if (!IsPresent(cpu))
        {
            return Faults.Raise(cpu, op, ExceptionVector.DeviceNotAvailable);
        }

        *(ushort*)cpu->State.Gpr = cpu->State.Xsave.StatusWord;
        return op + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Fldcw(CpuContext* cpu, Operation* op)
    {
        if (!X87Arithmetic.IsAllowed(cpu))
        {
            return X87Arithmetic.Refuse(cpu, op);
        }

        if (!GuestAccess.TryRead(cpu, op, out ushort value))
        {
            return Faults.Faulted(cpu, op);
        }

        cpu->State.Xsave.ControlWord = X87State.ValidControlWord(value);
        X87State.Summarize(cpu);
        return op + 1;
    }

    /// <summary>FWAIT: #NM only when CR0.MP and CR0.TS are both set.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Fwait(CpuContext* cpu, Operation* op)
    {
        const ulong Both = Cr0.Mp | Cr0.Ts;
        return (cpu->State.Cr0 & Both) == Both ? Faults.Raise(cpu, op, ExceptionVector.DeviceNotAvailable)
            : X87State.MustFault(cpu) ? X87State.RaisePending(cpu, op)
            : op + 1;
    }

    /// <summary>FENI, FDISI, FSETPM: no operation since the 387.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Nothing(CpuContext* cpu, Operation* op) =>
        IsPresent(cpu) ? op + 1 : Faults.Raise(cpu, op, ExceptionVector.DeviceNotAvailable);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Fnstenv(CpuContext* cpu, Operation* op)
    {
        if (!IsPresent(cpu))
        {
            return Faults.Raise(cpu, op, ExceptionVector.DeviceNotAvailable);
        }

        byte* image = stackalloc byte[X87Environment.MaximumSize];
        int size = X87Environment.Write(cpu, op, image);
        if (!X87Environment.TryStore(cpu, op, image, size))
        {
            return Faults.Faulted(cpu, op);
        }

        cpu->State.Xsave.ControlWord |= X87State.ExceptionFlags;
        X87State.Summarize(cpu);
        return op + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Fldenv(CpuContext* cpu, Operation* op)
    {
        if (!X87Arithmetic.IsAllowed(cpu))
        {
            return X87Arithmetic.Refuse(cpu, op);
        }

        byte* image = stackalloc byte[X87Environment.MaximumSize];
        if (!X87Environment.TryLoad(cpu, op, image, X87Environment.Size(op)))
        {
            return Faults.Faulted(cpu, op);
        }

        X87Environment.Read(cpu, op, image);
        return op + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Fnsave(CpuContext* cpu, Operation* op)
    {
        if (!IsPresent(cpu))
        {
            return Faults.Raise(cpu, op, ExceptionVector.DeviceNotAvailable);
        }

        byte* image = stackalloc byte[X87Environment.MaximumSize];
        int size = X87Environment.Write(cpu, op, image);
        for (int i = 0; i < 8; i++)
        {
            Buffer.MemoryCopy(cpu->State.Xsave.St + (i * 16), image + size + (i * 10), 10, 10);
        }

        if (!X87Environment.TryStore(cpu, op, image, size + 80))
        {
            return Faults.Faulted(cpu, op);
        }

        X87State.Initialize(cpu);
        return op + 1;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Frstor(CpuContext* cpu, Operation* op)
    {
        if (!X87Arithmetic.IsAllowed(cpu))
        {
            return X87Arithmetic.Refuse(cpu, op);
        }

        byte* image = stackalloc byte[X87Environment.MaximumSize];
        int size = X87Environment.Size(op);
        if (!X87Environment.TryLoad(cpu, op, image, size + 80))
        {
            return Faults.Faulted(cpu, op);
        }

        X87Environment.Read(cpu, op, image);
        for (int i = 0; i < 8; i++)
        {
            byte* register = cpu->State.Xsave.St + (i * 16);
            *(ulong*)register = *(ulong*)(image + size + (i * 10));
            *(ulong*)(register + 8) = *(ushort*)(image + size + (i * 10) + 8);
        }

        return op + 1;
    }

    private static bool IsPresent(CpuContext* cpu) =>
        (cpu->State.Cr0 & (Cr0.Em | Cr0.Ts)) == 0;
}
