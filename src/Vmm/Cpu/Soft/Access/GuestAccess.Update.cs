using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Access;

/// <content>Read-modify-write operands and block transfers.</content>
internal static unsafe partial class GuestAccess
{
    /// <summary>
    /// Opens the memory operand for reading and writing. <paramref name="host"/> points into guest memory, where other processors see every
    /// change at once (use <see cref="Interlocked"/> for LOCK), or to a copy that <see cref="EndUpdate"/> writes back; under a
    /// lock of its own if the operation locks. Call <see cref="EndUpdate"/> after a true, in every case.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryBeginUpdate<T>(CpuContext* cpu, Operation* op, out T* host)
        where T : unmanaged
    {
        var linear = new GuestVirtualAddress(RawAddress(cpu, op));
        if ((op->Flags & OperationFlags.Flat) != 0)
        {
            var entry = Tlb.Entry(cpu, linear);
            if (entry->Write == Tlb.Match(cpu, linear + (ulong)(sizeof(T) - 1)))
            {
                host = (T*)(linear.Value + entry->Addend);
                return true;
            }
        }

        bool done = BeginUpdateSlow(cpu, op, (SegmentIndex)op->Segment, EffectiveAddress(cpu, op), (uint)sizeof(T), out byte* slow);
        host = (T*)slow;
        return done;
    }

    /// <summary>Ends what <see cref="TryBeginUpdate"/> began, whether or not anything was changed.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void EndUpdate<T>(CpuContext* cpu, Operation* op, T* host)
        where T : unmanaged
    {
        var page = SystemMemory.Address(cpu, (byte*)host).Page;
        // Outside guest memory it is the bounce buffer.
        if (page.Number >= PageCount || cpu->PageFlags[page.Number] != 0)
        {
            EndUpdateSlow(cpu, op, (byte*)host, (uint)sizeof(T), page);
        }
    }

    /// <summary>As <see cref="TryBeginUpdate"/>, at an offset of a segment.</summary>
    public static bool TryBeginUpdateAt<T>(CpuContext* cpu, Operation* op, SegmentIndex segment, ulong offset, out T* host)
        where T : unmanaged
    {
        bool done = BeginUpdateSlow(cpu, op, segment, offset, (uint)sizeof(T), out byte* slow);
        host = (T*)slow;
        return done;
    }

    /// <summary>
    /// Gives direct access to guest memory at an offset of a segment, for block transfers. True with <paramref name="available"/> 0 where
    /// only single accesses will do (devices, breakpoints set): go on by <see cref="TryReadAt"/> and <see cref="TryWriteAt"/>.
    /// False: an exception is recorded; the very first byte cannot be reached.
    /// </summary>
    /// <param name="bytes">How many bytes are wanted, upwards from the offset, which is wrapped at the address size.</param>
    /// <param name="available">How many of them lie in one piece: up to the end of the page or segment.</param>
    public static bool TryGetSpan(
        CpuContext* cpu, Operation* op, SegmentIndex segment, ulong offset, ulong bytes, bool write, out byte* host, out int available)
    {
        host = null;
        available = 0;
        if (cpu->TlbTag == Tlb.NoSpace)
        {
            // The alignment check, which comes before paging, and data breakpoints need every single access.
            return true;
        }

        if (!Segments.TryLinear(cpu, op, segment, offset, 1, write, out GuestVirtualAddress linear))
        {
            return false;
        }

        ulong reach = Math.Min(bytes, 4096 - linear.PageOffset);
        reach = Math.Min(reach, Segments.Reach(cpu, op, segment, offset));
        var entry = Tlb.Entry(cpu, linear);
        if ((write ? entry->Write : entry->Read) != Tlb.Match(cpu, linear))
        {
            if (!SlowAccess.TryProbe(cpu, linear, 1, write))
            {
                return false;
            }

            entry = Tlb.Entry(cpu, linear);
            if ((write ? entry->Write : entry->Read) != Tlb.Match(cpu, linear))
            {
                return true;
            }
        }

        host = (byte*)(linear.Value + entry->Addend);
        available = (int)reach;
        return true;
    }

    /// <summary>After writing through a span of <see cref="TryGetSpan"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void EndWrite(CpuContext* cpu, Operation* op, byte* host)
    {
        if (SystemMemory.IsWatched(cpu, host, out var page))
        {
            StoreObserved(cpu, op, page);
        }
    }

    private const ulong PageCount = GuestMemory.AddressSpaceSize >> 12;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool BeginUpdateSlow(CpuContext* cpu, Operation* op, SegmentIndex segment, ulong offset, uint size, out byte* host)
    {
        host = null;
        if (!Segments.TryLinear(cpu, op, segment, offset, size, write: true, out GuestVirtualAddress linear))
        {
            return false;
        }

        var entry = Tlb.Entry(cpu, linear);
        if (entry->Write == Tlb.Match(cpu, linear + (size - 1)))
        {
            host = (byte*)(linear.Value + entry->Addend);
            return true;
        }

        if (!SlowAccess.TryCheck(cpu, segment, linear, size, write: true) || !SlowAccess.TryProbe(cpu, linear, size, write: true))
        {
            return false;
        }

        entry = Tlb.Entry(cpu, linear);
        if (entry->Write == Tlb.Match(cpu, linear + (size - 1)))
        {
            host = (byte*)(linear.Value + entry->Addend);
            return true;
        }

        return SlowAccess.TryBeginBounce(cpu, op, segment, linear, size, out host);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void EndUpdateSlow(CpuContext* cpu, Operation* op, byte* host, uint size, SystemPage page)
    {
        if (host == cpu->Bounce)
        {
            SlowAccess.EndBounce(cpu, op, size);
        }
        else
        {
            StoreObserved(cpu, op, page);
        }
    }
}
