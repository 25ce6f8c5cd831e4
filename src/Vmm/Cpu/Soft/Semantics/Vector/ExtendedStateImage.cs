using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Vector;

/// <summary>
/// Moves pieces of an FXSAVE or XSAVE image between the context and guest memory. The image's layout is that of
/// <see cref="XsaveArea"/>; what differs between the 32-bit and 64-bit forms are the two x87 pointers (SDM Vol. 2A, FXSAVE).
/// </summary>
internal unsafe ref struct ExtendedStateImage
{
    public const int X87Start = 0;
    public const int MxcsrStart = 24;
    public const int RegistersStart = 32;
    public const int HeaderStart = 512;
    public const int Size = 832;

    private readonly CpuContext* _cpu;
    private readonly Operation* _op;
    private readonly ulong _offset;
    private readonly bool _aligned32;

    public ExtendedStateImage(CpuContext* cpu, Operation* op)
    {
        _cpu = cpu;
        _op = op;
        _offset = GuestAccess.EffectiveAddress(cpu, op);

        // FXSAVE's image is aligned to 16 bytes only, and pieces must not be misaligned (the alignment check could be on).
        _aligned32 = (_offset & 31) == 0;
    }

    /// <summary>XMM and YMM registers that exist in this mode.</summary>
    public static int RegisterCount(Operation* op) => (op->Flags & OperationFlags.Long) != 0 ? 16 : 8;

    /// <summary>Writes bytes [start, end) of <paramref name="image"/>; multiples of 8.</summary>
    public readonly bool TryWrite(byte* image, int start, int end)
    {
        for (int i = start; i < end;)
        {
            if (_aligned32 && end - i >= 32)
            {
                if (!GuestAccess.TryWriteAt(_cpu, _op, Segment, Address(i), Unsafe.ReadUnaligned<Vector256<byte>>(image + i)))
                {
                    return false;
                }

                i += 32;
            }
            else if ((i & 15) == 0 && end - i >= 16)
            {
                if (!GuestAccess.TryWriteAt(_cpu, _op, Segment, Address(i), Unsafe.ReadUnaligned<Vector128<byte>>(image + i)))
                {
                    return false;
                }

                i += 16;
            }
            else
            {
                if (!GuestAccess.TryWriteAt(_cpu, _op, Segment, Address(i), Unsafe.ReadUnaligned<ulong>(image + i)))
                {
                    return false;
                }

                i += 8;
            }
        }

        return true;
    }

    /// <summary>Reads bytes [start, end) into <paramref name="image"/>; multiples of 8.</summary>
    public readonly bool TryRead(byte* image, int start, int end)
    {
        for (int i = start; i < end;)
        {
            if (_aligned32 && end - i >= 32)
            {
                if (!GuestAccess.TryReadAt(_cpu, _op, Segment, Address(i), out Vector256<byte> piece))
                {
                    return false;
                }

                Unsafe.WriteUnaligned(image + i, piece);
                i += 32;
            }
            else if ((i & 15) == 0 && end - i >= 16)
            {
                if (!GuestAccess.TryReadAt(_cpu, _op, Segment, Address(i), out Vector128<byte> piece))
                {
                    return false;
                }

                Unsafe.WriteUnaligned(image + i, piece);
                i += 16;
            }
            else
            {
                if (!GuestAccess.TryReadAt(_cpu, _op, Segment, Address(i), out ulong piece))
                {
                    return false;
                }

                Unsafe.WriteUnaligned(image + i, piece);
                i += 8;
            }
        }

        return true;
    }

    /// <summary>The x87 part, ready to be stored.</summary>
    public static void FillX87(CpuContext* cpu, XsaveArea* image, bool wide)
    {
        *image = cpu->State.Xsave;
        image->MxcsrMask = VectorFeatures.MxcsrMask;
        if (!wide)
        {
            // Selectors are saved as 0, as processors do that deprecate them (CPUID.7.0:EBX bit 13).
            image->InstructionPointer = (uint)image->InstructionPointer;
            image->DataPointer = (uint)image->DataPointer;
        }
    }

    /// <summary>Takes the x87 part from an image. ES and B follow from flags and masks.</summary>
    public static void LoadX87(CpuContext* cpu, XsaveArea* image, bool wide)
    {
        XsaveArea* area = &cpu->State.Xsave;
        area->ControlWord = X87.X87State.ValidControlWord(image->ControlWord);
        area->StatusWord = image->StatusWord;
        area->TagWord = image->TagWord;
        area->Opcode = (ushort)(image->Opcode & 0x7ff);
        area->InstructionPointer = wide ? image->InstructionPointer : (uint)image->InstructionPointer;
        area->DataPointer = wide ? image->DataPointer : (uint)image->DataPointer;
        for (int i = 0; i < 8; i++)
        {
            // Six reserved bytes follow each register.
            *(ulong*)(area->St + (i * 16)) = *(ulong*)(image->St + (i * 16));
            *(ulong*)(area->St + (i * 16) + 8) = *(ushort*)(image->St + (i * 16) + 8);
        }

        X87.X87State.Summarize(cpu);
    }

    private readonly SegmentIndex Segment => (SegmentIndex)_op->Segment;

    private readonly ulong Address(int displacement)
    {
        ulong address = _offset + (ulong)displacement;
        return (_op->Flags & OperationFlags.Address32) != 0 ? (uint)address
            : (_op->Flags & OperationFlags.Address16) != 0 ? (ushort)address
            : address;
    }
}
