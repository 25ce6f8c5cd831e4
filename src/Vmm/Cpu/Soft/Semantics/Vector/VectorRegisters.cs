using System.Runtime.CompilerServices;
using Iced.Intel;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Vector;

/// <summary>
/// How vector operations name registers of every kind: by the distance from the context's start in units of 8 bytes.
/// </summary>
internal static unsafe class VectorRegisters
{
    /// <summary>Distance in bytes from the low half of a YMM register to its high half.</summary>
    public const int HighHalf = XsaveArea.YmmHighOffset - XsaveArea.XmmOffset;

    private const int StOffset = 32;

    /// <summary>Slot of MM0 (and of ST0 while TOP is 0).</summary>
    public static byte FirstMmxSlot { get; } = SlotOf(Register.MM0);

    public static byte FirstXmmSlot { get; } = SlotOf(Register.XMM0);

    public static byte SlotOf(Register register) => checked((byte)(OffsetOf(register) / 8));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* Pointer(CpuContext* cpu, byte slot) => (byte*)cpu + ((nuint)slot * 8);

    /// <summary>
    /// Address of byte <paramref name="offset"/> (0 to 31) of a YMM register, for elements that do not straddle its halves.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static byte* Element(CpuContext* cpu, byte slot, int offset) =>
        Pointer(cpu, slot) + offset + (offset < 16 ? 0 : HighHalf - 16);

    /// <summary>Replaces a whole YMM register by 32 bytes.</summary>
    public static void Write(CpuContext* cpu, byte slot, byte* value)
    {
        byte* register = Pointer(cpu, slot);
        Buffer.MemoryCopy(value, register, 16, 16);
        Buffer.MemoryCopy(value + 16, register + HighHalf, 16, 16);
    }

    private static int OffsetOf(Register register) =>
        register.IsXMM() ? CpuState.XsaveOffset + XsaveArea.XmmOffset + ((register - Register.XMM0) * 16)
        : register.IsYMM() ? CpuState.XsaveOffset + XsaveArea.XmmOffset + ((register - Register.YMM0) * 16)
        : register.IsMM() ? CpuState.XsaveOffset + StOffset + ((register - Register.MM0) * 16)
        : (register.GetFullRegister() - Register.RAX) * 8;
}
