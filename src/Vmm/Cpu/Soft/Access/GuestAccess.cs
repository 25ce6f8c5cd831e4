using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Access;

/// <summary>
/// Memory operands as handlers reach them: segmentation, alignment check, paging, then guest memory or a device. Whatever gives false
/// has recorded an exception; the handler returns <see cref="Faults.Faulted"/>. Nothing was written then.
/// </summary>
internal static unsafe partial class GuestAccess
{
    /// <summary>Offset of the memory operand in its segment, wrapped at the address size; what LEA computes.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong EffectiveAddress(CpuContext* cpu, Operation* op)
    {
        ulong address = RawAddress(cpu, op);
        if ((op->Flags & (OperationFlags.Address16 | OperationFlags.Address32)) != 0)
        {
            address = (op->Flags & OperationFlags.Address16) != 0 ? (ushort)address : (uint)address;
        }

        return address;
    }

    /// <summary>Reads the memory operand.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryRead<T>(CpuContext* cpu, Operation* op, out T value)
        where T : unmanaged
    {
        var linear = new GuestVirtualAddress(RawAddress(cpu, op));
        if ((op->Flags & OperationFlags.Flat) != 0)
        {
            var entry = Tlb.Entry(cpu, linear);
            if (entry->Read == Tlb.Match(cpu, linear + (ulong)(sizeof(T) - 1)))
            {
                value = Unsafe.ReadUnaligned<T>((byte*)(linear.Value + entry->Addend));
                return true;
            }
        }

        bool done = ReadOperand(cpu, op, out T slow);
        value = slow;
        return done;
    }

    /// <summary>Writes the memory operand.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryWrite<T>(CpuContext* cpu, Operation* op, T value)
        where T : unmanaged
    {
        var linear = new GuestVirtualAddress(RawAddress(cpu, op));
        return ((op->Flags & OperationFlags.Flat) != 0 && TryWriteCached(cpu, op, linear, value)) || WriteOperand(cpu, op, value);
    }

    /// <summary>Reads the memory operand, which must be aligned to its size (#GP otherwise): MOVAPS and its kind.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryReadAligned<T>(CpuContext* cpu, Operation* op, out T value)
        where T : unmanaged
    {
        if (!CheckAligned(cpu, op, (uint)sizeof(T)))
        {
            value = default;
            return false;
        }

        return TryRead(cpu, op, out value);
    }

    /// <summary>Writes the memory operand, which must be aligned to its size (#GP otherwise).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryWriteAligned<T>(CpuContext* cpu, Operation* op, T value)
        where T : unmanaged => CheckAligned(cpu, op, (uint)sizeof(T)) && TryWrite(cpu, op, value);

    /// <summary>
    /// Whether the memory operand's linear address is a multiple of <paramref name="alignment"/> (a power of two); records #GP if not.
    /// </summary>
    public static bool CheckAligned(CpuContext* cpu, Operation* op, uint alignment)
    {
        ulong linear = EffectiveAddress(cpu, op);
        if ((op->Flags & OperationFlags.Flat) == 0)
        {
            linear += Segments.Base(cpu, op, (SegmentIndex)op->Segment);
        }

        if ((linear & (alignment - 1)) == 0)
        {
            return true;
        }

        Faults.Record(cpu, ExceptionVector.GeneralProtection);
        return false;
    }

    /// <summary>
    /// Reads at an offset of a segment: string instructions and their kind. The offset is already wrapped at the address size.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryReadAt<T>(CpuContext* cpu, Operation* op, SegmentIndex segment, ulong offset, out T value)
        where T : unmanaged
    {
        if (IsFlat(op, segment))
        {
            var linear = new GuestVirtualAddress(offset);
            var entry = Tlb.Entry(cpu, linear);
            if (entry->Read == Tlb.Match(cpu, linear + (ulong)(sizeof(T) - 1)))
            {
                value = Unsafe.ReadUnaligned<T>((byte*)(linear.Value + entry->Addend));
                return true;
            }
        }

        bool done = ReadSegment(cpu, op, segment, offset, out T slow);
        value = slow;
        return done;
    }

    /// <summary>Writes at an offset of a segment.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryWriteAt<T>(CpuContext* cpu, Operation* op, SegmentIndex segment, ulong offset, T value)
        where T : unmanaged =>
        (IsFlat(op, segment) && TryWriteCached(cpu, op, new(offset), value)) || WriteSegment(cpu, op, segment, offset, value);

    /// <summary>
    /// Whether the memory operand could be written, without writing: for instructions that must not change anything before a fault.
    /// </summary>
    public static bool TryTouch<T>(CpuContext* cpu, Operation* op)
        where T : unmanaged =>
        Segments.TryLinear(
            cpu, op, (SegmentIndex)op->Segment, EffectiveAddress(cpu, op), (uint)sizeof(T), write: true, out GuestVirtualAddress linear)
        && SlowAccess.TryCheck(cpu, (SegmentIndex)op->Segment, linear, (uint)sizeof(T), write: true)
        && SlowAccess.TryProbe(cpu, linear, (uint)sizeof(T), write: true);

    /// <summary>Base, scaled index and displacement: the offset with the 64-bit address size.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong RawAddress(CpuContext* cpu, Operation* op) =>
        *(ulong*)((byte*)cpu + op->Base) + (*(ulong*)((byte*)cpu + op->Index) << op->Scale) + (ulong)op->Displacement;

    /// <summary>Writes if the translation cache knows the page.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool TryWriteCached<T>(CpuContext* cpu, Operation* op, GuestVirtualAddress linear, T value)
        where T : unmanaged
    {
        var entry = Tlb.Entry(cpu, linear);
        if (entry->Write != Tlb.Match(cpu, linear + (ulong)(sizeof(T) - 1)))
        {
            return false;
        }

        byte* host = (byte*)(linear.Value + entry->Addend);
        Unsafe.WriteUnaligned(host, value);
        if (SystemMemory.IsWatched(cpu, host, out var page))
        {
            StoreObserved(cpu, op, page);
        }

        return true;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsFlat(Operation* op, SegmentIndex segment) => (op->Flags & OperationFlags.Long) != 0 && segment < SegmentIndex.Fs;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool ReadOperand<T>(CpuContext* cpu, Operation* op, out T value)
        where T : unmanaged => ReadSegment(cpu, op, (SegmentIndex)op->Segment, EffectiveAddress(cpu, op), out value);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool WriteOperand<T>(CpuContext* cpu, Operation* op, T value)
        where T : unmanaged => WriteSegment(cpu, op, (SegmentIndex)op->Segment, EffectiveAddress(cpu, op), value);

    /// <summary>Linear address where nothing is to be checked: 64-bit mode, and flat data segments of 32-bit mode.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static bool IsUnchecked(CpuContext* cpu, Operation* op, SegmentIndex segment, ulong offset, out GuestVirtualAddress linear)
    {
        if ((op->Flags & OperationFlags.Long) != 0)
        {
            linear = new(segment < SegmentIndex.Fs ? offset : offset + Segments.Register(cpu, segment)->Base);
            return true;
        }

        linear = new((uint)offset);
        return (op->Flags & OperationFlags.FlatData) != 0 && segment is SegmentIndex.Ds or SegmentIndex.Ss or SegmentIndex.Es;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool ReadSegment<T>(CpuContext* cpu, Operation* op, SegmentIndex segment, ulong offset, out T value)
        where T : unmanaged
    {
        if (!IsUnchecked(cpu, op, segment, offset, out GuestVirtualAddress linear)
            && !Segments.TryLinear(cpu, op, segment, offset, (uint)sizeof(T), write: false, out linear))
        {
            value = default;
            return false;
        }

        var entry = Tlb.Entry(cpu, linear);
        if (entry->Read == Tlb.Match(cpu, linear + (ulong)(sizeof(T) - 1)))
        {
            value = Unsafe.ReadUnaligned<T>((byte*)(linear.Value + entry->Addend));
            return true;
        }

        return ReadSlow(cpu, segment, linear, out value);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool ReadSlow<T>(CpuContext* cpu, SegmentIndex segment, GuestVirtualAddress linear, out T value)
        where T : unmanaged
    {
        if (DeviceAccess.TryRead(cpu, linear, out value))
        {
            return true;
        }

        T result = default;
        bool done = SlowAccess.TryRead(cpu, segment, linear, (byte*)&result, (uint)sizeof(T));
        value = result;
        return done;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool WriteSegment<T>(CpuContext* cpu, Operation* op, SegmentIndex segment, ulong offset, T value)
        where T : unmanaged
    {
        if (!IsUnchecked(cpu, op, segment, offset, out GuestVirtualAddress linear)
            && !Segments.TryLinear(cpu, op, segment, offset, (uint)sizeof(T), write: true, out linear))
        {
            return false;
        }

        return TryWriteCached(cpu, op, linear, value) || WriteSlow(cpu, op, segment, linear, value);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool WriteSlow<T>(CpuContext* cpu, Operation* op, SegmentIndex segment, GuestVirtualAddress linear, T value)
        where T : unmanaged =>
        DeviceAccess.TryWrite(cpu, linear, value) || SlowAccess.TryWrite(cpu, op, segment, linear, (byte*)&value, (uint)sizeof(T));

    /// <summary>
    /// After a store to a page that someone watches: tell guest memory, and if it was the running block's own page, stop after this
    /// instruction.
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static void StoreObserved(CpuContext* cpu, Operation* op, SystemPage page)
    {
        CpuEnvironment.Of(cpu).Memory.StoreObserved(page);
        if (op != null)
        {
            Block.StopIfChanged(cpu, op);
        }
    }
}
