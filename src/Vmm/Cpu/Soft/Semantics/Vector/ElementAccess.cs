using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Vector;

/// <summary>
/// Single elements of gathers and masked moves. They are exempt from the alignment check (SDM Vol. 2C, VMASKMOV), so while it is on,
/// misaligned ones go by bytes.
/// </summary>
internal static unsafe class ElementAccess
{
    public static bool TryRead<T>(CpuContext* cpu, Operation* op, ulong offset, out T value)
        where T : unmanaged
    {
        var segment = (SegmentIndex)op->Segment;
        if (!ByBytes<T>(cpu, offset))
        {
            return GuestAccess.TryReadAt(cpu, op, segment, Wrap(op, offset), out value);
        }

        ulong bytes = 0;
        for (int i = 0; i < sizeof(T); i++)
        {
            if (!GuestAccess.TryReadAt(cpu, op, segment, Wrap(op, offset + (ulong)i), out byte one))
            {
                value = default;
                return false;
            }

            bytes |= (ulong)one << (i * 8);
        }

        value = *(T*)&bytes;
        return true;
    }

    public static bool TryWrite<T>(CpuContext* cpu, Operation* op, ulong offset, T value)
        where T : unmanaged
    {
        var segment = (SegmentIndex)op->Segment;
        if (!ByBytes<T>(cpu, offset))
        {
            return GuestAccess.TryWriteAt(cpu, op, segment, Wrap(op, offset), value);
        }

        for (int i = 0; i < sizeof(T); i++)
        {
            if (!GuestAccess.TryWriteAt(cpu, op, segment, Wrap(op, offset + (ulong)i), ((byte*)&value)[i]))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>Whether the element could be written: its first and its last byte, as it may straddle pages.</summary>
    public static bool TryTouch<T>(CpuContext* cpu, Operation* op, ulong offset)
        where T : unmanaged
    {
        if (!TryTouchByte(cpu, op, offset))
        {
            return false;
        }

        if (TryTouchByte(cpu, op, offset + (ulong)(sizeof(T) - 1)))
        {
            return true;
        }

        if (cpu->Exception == ExceptionVector.PageFault)
        {
            // The first byte of the element on that page.
            cpu->ExceptionAddress &= ~0xfffUL;
        }

        return false;
    }

    /// <summary>Offsets wrap at the address size.</summary>
    public static ulong Wrap(Operation* op, ulong offset) =>
        (op->Flags & OperationFlags.Address32) != 0 ? (uint)offset
        : (op->Flags & OperationFlags.Address16) != 0 ? (ushort)offset
        : offset;

    private static bool TryTouchByte(CpuContext* cpu, Operation* op, ulong offset)
    {
        if (!GuestAccess.TryBeginUpdateAt(cpu, op, (SegmentIndex)op->Segment, Wrap(op, offset), out byte* host))
        {
            return false;
        }

        GuestAccess.EndUpdate(cpu, op, host);
        return true;
    }

    private static bool ByBytes<T>(CpuContext* cpu, ulong offset)
        where T : unmanaged => (cpu->State.Rflags & RflagsBits.Ac) != 0 && (offset & (ulong)(sizeof(T) - 1)) != 0;
}
