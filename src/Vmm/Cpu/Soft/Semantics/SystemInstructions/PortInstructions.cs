using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.SystemInstructions;

/// <summary>IN, OUT, INS, OUTS (SDM Vol. 1 chapter 18).</summary>
internal static unsafe class PortInstructions
{
    private const MethodImplOptions Once = MethodImplOptions.AggressiveOptimization;
    private const int Rcx = 1;
    private const int Rsi = 6;
    private const int Rdi = 7;

    /// <summary>In <see cref="Operation.Reg2"/>: the port is DX, not <see cref="Operation.Immediate"/>.</summary>
    public const byte PortInDx = 1;

    [MethodImpl(Once)]
    public static Operation* In<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        ushort port = Port(cpu, op);
        if (!MayAccess(cpu, port, sizeof(T)))
        {
            return Faults.Faulted(cpu, op);
        }

        uint value = PortAccess.Read(cpu, port, sizeof(T));
        if (sizeof(T) == 4)
        {
            cpu->State.Gpr[0] = value;
        }
        else
        {
            *(T*)&cpu->State.Gpr[0] = T.CreateTruncating(value);
        }

        return AfterAccess(cpu, op);
    }

    [MethodImpl(Once)]
    public static Operation* Out<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        ushort port = Port(cpu, op);
        if (!MayAccess(cpu, port, sizeof(T)))
        {
            return Faults.Faulted(cpu, op);
        }

        PortAccess.Write(cpu, port, sizeof(T), uint.CreateTruncating(*(T*)&cpu->State.Gpr[0]));
        return AfterAccess(cpu, op);
    }

    /// <summary>INS: to ES:rDI. Restartable after each element.</summary>
    [MethodImpl(Once)]
    public static Operation* InString<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        ushort port = (ushort)cpu->State.Gpr[2];
        if (!MayAccess(cpu, port, sizeof(T)))
        {
            // Even if the count is 0.
            return Faults.Faulted(cpu, op);
        }

        bool repeats = (op->Flags & (OperationFlags.Rep | OperationFlags.Repne)) != 0;
        while (!repeats || Counter(cpu, op) != 0)
        {
            ulong offset = Wrap(op, cpu->State.Gpr[Rdi]);
            if (!CanWrite(cpu, op, offset, (uint)sizeof(T)))
            {
                return Faults.Faulted(cpu, op);
            }

            T value = T.CreateTruncating(PortAccess.Read(cpu, port, sizeof(T)));
            if (!GuestAccess.TryWriteAt(cpu, op, SegmentIndex.Es, offset, value))
            {
                return Faults.Faulted(cpu, op);
            }

            if (Advance(cpu, op, Rdi, sizeof(T), repeats) is var next && next != null)
            {
                return next;
            }

            if (Faults.Interrupted(cpu))
            {
                return Faults.Repeat(cpu, op);
            }
        }

        return op + 1;
    }

    /// <summary>OUTS: from segment:rSI.</summary>
    [MethodImpl(Once)]
    public static Operation* OutString<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged, IBinaryInteger<T>
    {
        ushort port = (ushort)cpu->State.Gpr[2];
        if (!MayAccess(cpu, port, sizeof(T)))
        {
            // Even if the count is 0.
            return Faults.Faulted(cpu, op);
        }

        bool repeats = (op->Flags & (OperationFlags.Rep | OperationFlags.Repne)) != 0;
        while (!repeats || Counter(cpu, op) != 0)
        {
            if (!GuestAccess.TryReadAt(cpu, op, (SegmentIndex)op->Segment, Wrap(op, cpu->State.Gpr[Rsi]), out T value))
            {
                return Faults.Faulted(cpu, op);
            }

            PortAccess.Write(cpu, port, sizeof(T), uint.CreateTruncating(value));
            if (Advance(cpu, op, Rsi, sizeof(T), repeats) is var next && next != null)
            {
                return next;
            }

            if (Faults.Interrupted(cpu))
            {
                return Faults.Repeat(cpu, op);
            }
        }

        return op + 1;
    }

    /// <summary>IOPL, or the I/O permission bitmap of the TSS (SDM Vol. 1 §18.5); false with an exception recorded.</summary>
    public static bool MayAccess(CpuContext* cpu, ushort port, int size)
    {
        if ((cpu->State.Cr0 & Cr0.Pe) == 0
            || (cpu->Cpl <= cpu->Iopl && (cpu->State.Rflags & RflagsBits.Vm) == 0))
        {
            return true;
        }

        var task = Segments.Register(cpu, SegmentIndex.Tr);
        // Only a 32- or 64-bit TSS has a bitmap.
        if (((uint)task->Attributes & 0x1d) is 0x09 && task->Limit >= 103)
        {
            if (!SlowAccess.TryReadSystem(cpu, new(task->Base + 102), out ushort bitmap))
            {
                return false;
            }

            uint at = bitmap + ((uint)port >> 3);
            if (at + 1 <= task->Limit)
            {
                if (!SlowAccess.TryReadSystem(cpu, new(task->Base + at), out ushort bits))
                {
                    return false;
                }

                if (((bits >> (port & 7)) & ((1 << size) - 1)) == 0)
                {
                    return true;
                }
            }
        }

        Faults.Record(cpu, ExceptionVector.GeneralProtection);
        return false;
    }

    private static ushort Port(CpuContext* cpu, Operation* op) => op->Reg2 == PortInDx ? (ushort)cpu->State.Gpr[2] : (byte)op->Immediate;

    /// <summary>A device may have asked for an interrupt or a reset: look before the next instruction.</summary>
    private static Operation* AfterAccess(CpuContext* cpu, Operation* op) => Faults.Interrupted(cpu) ? Faults.Leave(cpu, op) : op + 1;

    /// <summary>The destination is checked before the port is read, as that may have effects.</summary>
    private static bool CanWrite(CpuContext* cpu, Operation* op, ulong offset, uint size) =>
        Segments.TryLinear(cpu, op, SegmentIndex.Es, offset, size, write: true, out var linear)
        && SlowAccess.TryProbe(cpu, linear, size, write: true);

    private static ulong Wrap(Operation* op, ulong value) =>
        (op->Flags & OperationFlags.Address16) != 0 ? (ushort)value : (op->Flags & OperationFlags.Address32) != 0 ? (uint)value : value;

    private static ulong Counter(CpuContext* cpu, Operation* op) => Wrap(op, cpu->State.Gpr[Rcx]);

    /// <summary>Moves the index, counts down. Null: go on with the next element.</summary>
    private static Operation* Advance(CpuContext* cpu, Operation* op, int index, int size, bool repeats)
    {
        long step = (cpu->State.Rflags & RflagsBits.Df) != 0 ? -size : size;
        SetWrapped(cpu, op, index, cpu->State.Gpr[index] + (ulong)step);
        if (!repeats)
        {
            return AfterAccess(cpu, op);
        }

        SetWrapped(cpu, op, Rcx, cpu->State.Gpr[Rcx] - 1);
        return Counter(cpu, op) == 0 ? AfterAccess(cpu, op) : null;
    }

    private static void SetWrapped(CpuContext* cpu, Operation* op, int register, ulong value)
    {
        if ((op->Flags & OperationFlags.Address16) != 0)
        {
            *(ushort*)&cpu->State.Gpr[register] = (ushort)value;
        }
        else
        {
            cpu->State.Gpr[register] = (op->Flags & OperationFlags.Address32) != 0 ? (uint)value : value;
        }
    }
}
