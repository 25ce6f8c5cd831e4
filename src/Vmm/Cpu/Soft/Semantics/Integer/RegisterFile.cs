using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Integer;

/// <summary>Access to general-purpose registers by byte offset, as <see cref="Operations.Operation"/> names them.</summary>
internal static unsafe class RegisterFile
{
    public const byte Rax = 0 * 8;
    public const byte Rcx = 1 * 8;
    public const byte Rdx = 2 * 8;
    public const byte Rbx = 3 * 8;
    public const byte Rsp = 4 * 8;
    public const byte Rbp = 5 * 8;
    public const byte Rsi = 6 * 8;
    public const byte Rdi = 7 * 8;

    /// <summary>AH.</summary>
    public const byte Ah = Rax + 1;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static T Read<T>(CpuContext* cpu, byte register)
        where T : unmanaged => *(T*)((byte*)cpu + register);

    /// <summary>Writes 8 and 16 bits in place; 32 bits zero-extend into 64 (SDM Vol. 1 §3.4.1.1).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Write<T>(CpuContext* cpu, byte register, T value)
        where T : unmanaged
    {
        if (sizeof(T) == 4)
        {
            *(ulong*)((byte*)cpu + register) = *(uint*)&value;
        }
        else
        {
            *(T*)((byte*)cpu + register) = value;
        }
    }
}
