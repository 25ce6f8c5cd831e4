using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>SCAS: the accumulator with ES:rDI. The flags are those of the last element looked at.</summary>
internal readonly unsafe struct ScanString<T, TAddress> : IStringStep
    where T : unmanaged, IBinaryInteger<T>
    where TAddress : unmanaged, IBinaryInteger<TAddress>, IMinMaxValue<TAddress>
{
    public static bool TryOne(CpuContext* cpu, Operation* op)
    {
        if (!GuestAccess.TryReadAt(cpu, op, SegmentIndex.Es, StringRegisters<TAddress>.Destination(cpu), out T value))
        {
            return false;
        }

        Subtract.Apply(cpu, RegisterFile.Read<T>(cpu, RegisterFile.Rax), value);
        StringRegisters<TAddress>.Advance(cpu, RegisterFile.Rdi, (ulong)sizeof(T));
        return true;
    }

    /// <summary>
    /// Scans upwards what lies in one page, up to and with the element that ends the repetition. 0 elements: only single accesses will do.
    /// </summary>
    public static bool TryRun(CpuContext* cpu, Operation* op, out ulong elements)
    {
        elements = 0;
        ulong destination = StringRegisters<TAddress>.Destination(cpu);
        ulong limit = StringRegisters<TAddress>.RunLimit(cpu, sizeof(T), destination);
        if (limit < (ulong)sizeof(T))
        {
            return true;
        }

        if (!GuestAccess.TryGetSpan(cpu, op, SegmentIndex.Es, destination, limit, write: false, out byte* host, out int readable))
        {
            return false;
        }

        ReadOnlySpan<T> span = new(host, readable / sizeof(T));
        if (span.IsEmpty)
        {
            return true;
        }

        T accumulator = RegisterFile.Read<T>(cpu, RegisterFile.Rax);
        int end = RepeatedString.WhileEqual(op) ? span.IndexOfAnyExcept(accumulator) : span.IndexOf(accumulator);
        int last = end < 0 ? span.Length - 1 : end;
        // Read once more, for another processor may have written: the flags decide whether this was the end.
        Subtract.Apply(cpu, accumulator, Unsafe.ReadUnaligned<T>(host + (last * sizeof(T))));
        elements = (ulong)last + 1;
        StringRegisters<TAddress>.Advance(cpu, RegisterFile.Rdi, elements * (ulong)sizeof(T));
        return true;
    }

    public static bool Ends(CpuContext* cpu, Operation* op) => LazyFlags.Zero(cpu) != RepeatedString.WhileEqual(op);
}

/// <summary>CMPS: DS:rSI with ES:rDI. The flags are those of the last pair looked at.</summary>
internal readonly unsafe struct CompareStrings<T, TAddress> : IStringStep
    where T : unmanaged, IBinaryInteger<T>
    where TAddress : unmanaged, IBinaryInteger<TAddress>, IMinMaxValue<TAddress>
{
    public static bool TryOne(CpuContext* cpu, Operation* op)
    {
        if (!GuestAccess.TryReadAt(cpu, op, (SegmentIndex)op->Segment, StringRegisters<TAddress>.Source(cpu), out T left)
            || !GuestAccess.TryReadAt(cpu, op, SegmentIndex.Es, StringRegisters<TAddress>.Destination(cpu), out T right))
        {
            return false;
        }

        Subtract.Apply(cpu, left, right);
        StringRegisters<TAddress>.Advance(cpu, RegisterFile.Rsi, (ulong)sizeof(T));
        StringRegisters<TAddress>.Advance(cpu, RegisterFile.Rdi, (ulong)sizeof(T));
        return true;
    }

    public static bool TryRun(CpuContext* cpu, Operation* op, out ulong elements)
    {
        elements = 0;
        ulong source = StringRegisters<TAddress>.Source(cpu);
        ulong destination = StringRegisters<TAddress>.Destination(cpu);
        ulong limit = Math.Min(
            StringRegisters<TAddress>.RunLimit(cpu, sizeof(T), source),
            StringRegisters<TAddress>.RunLimit(cpu, sizeof(T), destination));
        if (!RepeatedString.WhileEqual(op) || limit < (ulong)sizeof(T))
        {
            return true;
        }

        if (!GuestAccess.TryGetSpan(cpu, op, (SegmentIndex)op->Segment, source, limit, write: false, out byte* left, out int readable))
        {
            return false;
        }

        if (readable < sizeof(T))
        {
            return true;
        }

        if (!GuestAccess.TryGetSpan(cpu, op, SegmentIndex.Es, destination, (ulong)readable, write: false, out byte* right, out readable))
        {
            return false;
        }

        int count = readable / sizeof(T);
        if (count == 0)
        {
            return true;
        }

        int same = new ReadOnlySpan<T>(left, count).CommonPrefixLength(new ReadOnlySpan<T>(right, count));
        int last = Math.Min(same, count - 1);
        Subtract.Apply(cpu, Unsafe.ReadUnaligned<T>(left + (last * sizeof(T))), Unsafe.ReadUnaligned<T>(right + (last * sizeof(T))));
        elements = (ulong)last + 1;
        StringRegisters<TAddress>.Advance(cpu, RegisterFile.Rsi, elements * (ulong)sizeof(T));
        StringRegisters<TAddress>.Advance(cpu, RegisterFile.Rdi, elements * (ulong)sizeof(T));
        return true;
    }

    public static bool Ends(CpuContext* cpu, Operation* op) => LazyFlags.Zero(cpu) != RepeatedString.WhileEqual(op);
}
