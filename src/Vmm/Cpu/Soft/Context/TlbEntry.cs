using System.Runtime.InteropServices;

namespace WebVm.Vmm.Cpu.Soft.Context;

/// <summary>
/// One translation of a 4 KiB page. A tag is the linear page address with the address space's number in its low 12 bits, or 0 where the
/// access needs the slow path (no permission, dirty bit still clear, not memory).
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal struct TlbEntry
{
    public ulong Read;
    public ulong Write;
    public ulong Execute;

    /// <summary>Host address less linear address.</summary>
    public ulong Addend;
}
