using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>
/// A way to a memory operand, chosen when the instruction is decoded. The fast ones know only translation cache hits and
/// call nothing, so that their handlers need no stack frame; on a miss the handler jumps to its twin with <see cref="GeneralPath"/>,
/// which can do everything.
/// </summary>
internal unsafe interface IMemoryPath
{
    static abstract bool IsFast { get; }

    /// <summary>Reads the operand. False: a miss, or of the general path an exception that is recorded.</summary>
    static abstract bool TryRead<T>(CpuContext* cpu, Operation* op, out T value)
        where T : unmanaged;

    /// <summary>Opens the operand for writing, or reading and writing. False as of <see cref="TryRead"/>.</summary>
    static abstract bool TryOpen<T>(CpuContext* cpu, Operation* op, out T* host)
        where T : unmanaged;

    /// <summary>Ends what <see cref="TryOpen"/> began, after the write, and goes on to the next instruction.</summary>
    static abstract Operation* Close<T>(CpuContext* cpu, Operation* op, T* host)
        where T : unmanaged;
}

/// <summary>64-bit mode, a segment without base: the linear address is the effective address.</summary>
internal readonly unsafe struct DirectPath : IMemoryPath
{
    public static bool IsFast => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryRead<T>(CpuContext* cpu, Operation* op, out T value)
        where T : unmanaged => CachedAccess.TryRead(cpu, new(GuestAccess.RawAddress(cpu, op)), out value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryOpen<T>(CpuContext* cpu, Operation* op, out T* host)
        where T : unmanaged => CachedAccess.TryOpen(cpu, new(GuestAccess.RawAddress(cpu, op)), out host);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Operation* Close<T>(CpuContext* cpu, Operation* op, T* host)
        where T : unmanaged => CachedAccess.Close(cpu, op, (byte*)host);
}

/// <summary>64-bit mode, FS or GS: their bases are added, nothing else is checked (SDM Vol. 3A §5.3.1).</summary>
internal readonly unsafe struct BasedPath : IMemoryPath
{
    public static bool IsFast => true;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryRead<T>(CpuContext* cpu, Operation* op, out T value)
        where T : unmanaged => CachedAccess.TryRead(cpu, Linear(cpu, op), out value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryOpen<T>(CpuContext* cpu, Operation* op, out T* host)
        where T : unmanaged => CachedAccess.TryOpen(cpu, Linear(cpu, op), out host);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Operation* Close<T>(CpuContext* cpu, Operation* op, T* host)
        where T : unmanaged => CachedAccess.Close(cpu, op, (byte*)host);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static GuestVirtualAddress Linear(CpuContext* cpu, Operation* op) =>
        new(GuestAccess.RawAddress(cpu, op) + ((SegmentRegister*)&cpu->State.Segments)[op->Segment].Base);
}

/// <summary>Every mode, every kind of memory, every fault.</summary>
internal readonly unsafe struct GeneralPath : IMemoryPath
{
    public static bool IsFast => false;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryRead<T>(CpuContext* cpu, Operation* op, out T value)
        where T : unmanaged => GuestAccess.TryRead(cpu, op, out value);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryOpen<T>(CpuContext* cpu, Operation* op, out T* host)
        where T : unmanaged => GuestAccess.TryBeginUpdate(cpu, op, out host);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Operation* Close<T>(CpuContext* cpu, Operation* op, T* host)
        where T : unmanaged
    {
        GuestAccess.EndUpdate(cpu, op, host);
        return Dispatch.Next(cpu, op);
    }
}

/// <summary>Accesses by the translation cache alone.</summary>
internal static unsafe class CachedAccess
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryRead<T>(CpuContext* cpu, GuestVirtualAddress linear, out T value)
        where T : unmanaged
    {
        var entry = Tlb.Entry(cpu, linear);
        if (entry->Read == Tlb.Match(cpu, linear + (ulong)(sizeof(T) - 1)))
        {
            value = Unsafe.ReadUnaligned<T>((byte*)(linear.Value + entry->Addend));
            return true;
        }

        Unsafe.SkipInit(out value);
        return false;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryOpen<T>(CpuContext* cpu, GuestVirtualAddress linear, out T* host)
        where T : unmanaged
    {
        var entry = Tlb.Entry(cpu, linear);
        host = (T*)(linear.Value + entry->Addend);
        return entry->Write == Tlb.Match(cpu, linear + (ulong)(sizeof(T) - 1));
    }

    /// <summary>
    /// Goes on behind a store. Whether somebody watches the page is looked up after the store: who sets the watch waits for
    /// every processor to pass a barrier, and then either sees the store or is seen here.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Operation* Close(CpuContext* cpu, Operation* op, byte* host)
    {
        return SystemMemory.IsWatched(cpu, host, out var page) ? Observed(cpu, op, page) : Dispatch.Next(cpu, op);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Operation* Observed(CpuContext* cpu, Operation* op, SystemPage page)
    {
        GuestAccess.StoreObserved(cpu, op, page);
        return Dispatch.Next(cpu, op);
    }
}
