using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Decoding;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Interpretation.Integer;

/// <summary>MOVS, STOS, LODS, alone and repeated. Registers are exact after every element, so a fault or an interrupt can come between any two.</summary>
internal static unsafe class StringMoveHandlers<T, TAddress>
    where T : unmanaged, IBinaryInteger<T>
    where TAddress : unmanaged, IBinaryInteger<TAddress>, IMinMaxValue<TAddress>
{
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Move(CpuContext* cpu, Operation* op) =>
        TryMoveOne(cpu, op) ? Dispatch.Next(cpu, op) : Faults.Faulted(cpu, op);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Store(CpuContext* cpu, Operation* op) =>
        TryStoreOne(cpu, op) ? Dispatch.Next(cpu, op) : Faults.Faulted(cpu, op);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* Load(CpuContext* cpu, Operation* op) =>
        TryLoadOne(cpu, op) ? Dispatch.Next(cpu, op) : Faults.Faulted(cpu, op);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* RepeatMove(CpuContext* cpu, Operation* op)
    {
        while (StringRegisters<TAddress>.Count(cpu) != 0)
        {
            if (!TryMoveRun(cpu, op, out ulong elements))
            {
                return Faults.Faulted(cpu, op);
            }

            if (elements == 0)
            {
                if (!TryMoveOne(cpu, op))
                {
                    return Faults.Faulted(cpu, op);
                }

                elements = 1;
            }

            StringRegisters<TAddress>.CountDown(cpu, elements);
            if (StringRegisters<TAddress>.MustPause(cpu) && StringRegisters<TAddress>.Count(cpu) != 0)
            {
                return Faults.Repeat(cpu, op);
            }
        }

        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* RepeatStore(CpuContext* cpu, Operation* op)
    {
        while (StringRegisters<TAddress>.Count(cpu) != 0)
        {
            if (!TryStoreRun(cpu, op, out ulong elements))
            {
                return Faults.Faulted(cpu, op);
            }

            if (elements == 0)
            {
                if (!TryStoreOne(cpu, op))
                {
                    return Faults.Faulted(cpu, op);
                }

                elements = 1;
            }

            StringRegisters<TAddress>.CountDown(cpu, elements);
            if (StringRegisters<TAddress>.MustPause(cpu) && StringRegisters<TAddress>.Count(cpu) != 0)
            {
                return Faults.Repeat(cpu, op);
            }
        }

        return Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static Operation* RepeatLoad(CpuContext* cpu, Operation* op)
    {
        while (StringRegisters<TAddress>.Count(cpu) != 0)
        {
            if (!TryLoadOne(cpu, op))
            {
                return Faults.Faulted(cpu, op);
            }

            StringRegisters<TAddress>.CountDown(cpu, 1);
            if (StringRegisters<TAddress>.MustPause(cpu) && StringRegisters<TAddress>.Count(cpu) != 0)
            {
                return Faults.Repeat(cpu, op);
            }
        }

        return Dispatch.Next(cpu, op);
    }

    private static bool TryMoveOne(CpuContext* cpu, Operation* op)
    {
        if (!GuestAccess.TryReadAt(cpu, op, (SegmentIndex)op->Segment, StringRegisters<TAddress>.Source(cpu), out T value)
            || !GuestAccess.TryWriteAt(cpu, op, SegmentIndex.Es, StringRegisters<TAddress>.Destination(cpu), value))
        {
            return false;
        }

        StringRegisters<TAddress>.Advance(cpu, RegisterFile.Rsi, (ulong)sizeof(T));
        StringRegisters<TAddress>.Advance(cpu, RegisterFile.Rdi, (ulong)sizeof(T));
        return true;
    }

    private static bool TryStoreOne(CpuContext* cpu, Operation* op)
    {
        T value = RegisterFile.Read<T>(cpu, RegisterFile.Rax);
        if (!GuestAccess.TryWriteAt(cpu, op, SegmentIndex.Es, StringRegisters<TAddress>.Destination(cpu), value))
        {
            return false;
        }

        StringRegisters<TAddress>.Advance(cpu, RegisterFile.Rdi, (ulong)sizeof(T));
        return true;
    }

    private static bool TryLoadOne(CpuContext* cpu, Operation* op)
    {
        if (!GuestAccess.TryReadAt(cpu, op, (SegmentIndex)op->Segment, StringRegisters<TAddress>.Source(cpu), out T value))
        {
            return false;
        }

        RegisterFile.Write(cpu, RegisterFile.Rax, value);
        StringRegisters<TAddress>.Advance(cpu, RegisterFile.Rsi, (ulong)sizeof(T));
        return true;
    }

    /// <summary>Copies upwards what lies in one page on both sides. 0 elements: only single accesses will do. False: an exception is recorded.</summary>
    private static bool TryMoveRun(CpuContext* cpu, Operation* op, out ulong elements)
    {
        elements = 0;
        ulong source = StringRegisters<TAddress>.Source(cpu);
        ulong destination = StringRegisters<TAddress>.Destination(cpu);
        ulong limit = Math.Min(
            StringRegisters<TAddress>.RunLimit(cpu, sizeof(T), source),
            StringRegisters<TAddress>.RunLimit(cpu, sizeof(T), destination));
        if (limit < (ulong)sizeof(T))
        {
            return true;
        }

        if (!GuestAccess.TryGetSpan(cpu, op, (SegmentIndex)op->Segment, source, limit, write: false, out byte* from, out int readable))
        {
            return false;
        }

        if (readable < sizeof(T))
        {
            return true;
        }

        if (!GuestAccess.TryGetSpan(cpu, op, SegmentIndex.Es, destination, (ulong)readable, write: true, out byte* to, out int writable))
        {
            return false;
        }

        elements = (uint)writable / (uint)sizeof(T);
        if (elements == 0)
        {
            return true;
        }

        ulong bytes = elements * (ulong)sizeof(T);
        if ((ulong)(to - from) < bytes)
        {
            // The destination overlaps what is still to be read: elements propagate.
            for (ulong i = 0; i < elements; i++)
            {
                Unsafe.WriteUnaligned(to + (i * (ulong)sizeof(T)), Unsafe.ReadUnaligned<T>(from + (i * (ulong)sizeof(T))));
            }
        }
        else
        {
            Buffer.MemoryCopy(from, to, bytes, bytes);
        }

        GuestAccess.EndWrite(cpu, op, to);
        StringRegisters<TAddress>.Advance(cpu, RegisterFile.Rsi, bytes);
        StringRegisters<TAddress>.Advance(cpu, RegisterFile.Rdi, bytes);
        return true;
    }

    /// <summary>Fills upwards what lies in one page. 0 elements: only single accesses will do. False: an exception is recorded.</summary>
    private static bool TryStoreRun(CpuContext* cpu, Operation* op, out ulong elements)
    {
        elements = 0;
        ulong destination = StringRegisters<TAddress>.Destination(cpu);
        ulong limit = StringRegisters<TAddress>.RunLimit(cpu, sizeof(T), destination);
        if (limit < (ulong)sizeof(T))
        {
            return true;
        }

        if (!GuestAccess.TryGetSpan(cpu, op, SegmentIndex.Es, destination, limit, write: true, out byte* to, out int writable))
        {
            return false;
        }

        elements = (uint)writable / (uint)sizeof(T);
        if (elements == 0)
        {
            return true;
        }

        new Span<T>(to, (int)elements).Fill(RegisterFile.Read<T>(cpu, RegisterFile.Rax));
        GuestAccess.EndWrite(cpu, op, to);
        StringRegisters<TAddress>.Advance(cpu, RegisterFile.Rdi, elements * (ulong)sizeof(T));
        return true;
    }
}
