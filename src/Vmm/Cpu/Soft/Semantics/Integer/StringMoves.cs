using System.Numerics;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>MOVS: DS:rSI (or another segment) to ES:rDI.</summary>
internal readonly unsafe struct MoveString<T, TAddress> : IStringStep
    where T : unmanaged, IBinaryInteger<T>
    where TAddress : unmanaged, IBinaryInteger<TAddress>, IMinMaxValue<TAddress>
{
    public static bool TryOne(CpuContext* cpu, Operation* op)
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

    /// <summary>
    /// Copies upwards what lies in one page on both sides. 0 elements: only single accesses will do. False: an exception is recorded.
    /// </summary>
    public static bool TryRun(CpuContext* cpu, Operation* op, out ulong elements)
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

    public static bool Ends(CpuContext* cpu, Operation* op) => false;
}

/// <summary>STOS: the accumulator to ES:rDI.</summary>
internal readonly unsafe struct StoreString<T, TAddress> : IStringStep
    where T : unmanaged, IBinaryInteger<T>
    where TAddress : unmanaged, IBinaryInteger<TAddress>, IMinMaxValue<TAddress>
{
    public static bool TryOne(CpuContext* cpu, Operation* op)
    {
        T value = RegisterFile.Read<T>(cpu, RegisterFile.Rax);
        if (!GuestAccess.TryWriteAt(cpu, op, SegmentIndex.Es, StringRegisters<TAddress>.Destination(cpu), value))
        {
            return false;
        }

        StringRegisters<TAddress>.Advance(cpu, RegisterFile.Rdi, (ulong)sizeof(T));
        return true;
    }

    /// <summary>Fills upwards what lies in one page. 0 elements: only single accesses will do. False: an exception is recorded.</summary>
    public static bool TryRun(CpuContext* cpu, Operation* op, out ulong elements)
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

    public static bool Ends(CpuContext* cpu, Operation* op) => false;
}

/// <summary>LODS: DS:rSI to the accumulator.</summary>
internal readonly unsafe struct LoadString<T, TAddress> : IStringStep
    where T : unmanaged, IBinaryInteger<T>
    where TAddress : unmanaged, IBinaryInteger<TAddress>, IMinMaxValue<TAddress>
{
    public static bool TryOne(CpuContext* cpu, Operation* op)
    {
        if (!GuestAccess.TryReadAt(cpu, op, (SegmentIndex)op->Segment, StringRegisters<TAddress>.Source(cpu), out T value))
        {
            return false;
        }

        RegisterFile.Write(cpu, RegisterFile.Rax, value);
        StringRegisters<TAddress>.Advance(cpu, RegisterFile.Rsi, (ulong)sizeof(T));
        return true;
    }

    /// <summary>Only the last element would count, but every one may fault.</summary>
    public static bool TryRun(CpuContext* cpu, Operation* op, out ulong elements)
    {
        elements = 0;
        return true;
    }

    public static bool Ends(CpuContext* cpu, Operation* op) => false;
}
