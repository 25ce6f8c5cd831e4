using System.Runtime.InteropServices;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft;

/// <summary>
/// Everything a handler can reach, in native memory: the architectural state at offset 0, then the engine's own fields.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct CpuContext
{
    public CpuState State;

    /// <summary>Zero flag: set when this is 0. See <see cref="Interpretation.LazyFlags"/>.</summary>
    public ulong FlagZero;

    /// <summary>Sign flag in bit 63; parity flag = even parity of bits 7:0.</summary>
    public ulong FlagSignParity;

    /// <summary>Carry out of the most significant bit in bit 63, carry into it in bit 62, carry out of bit 3 in bit 3; other bits undefined.</summary>
    public ulong FlagCarries;
}
