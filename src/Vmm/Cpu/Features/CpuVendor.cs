using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace WebVm.Vmm.Cpu.Features;

/// <summary>Whose processor a guest meets. The two manuals differ in what system calls, MSRs, null selectors and CPUID do.</summary>
public enum CpuVendor : byte
{
    Intel,
    Amd,
}

internal static class CpuVendors
{
    private const string IntelId = "GenuineIntel";
    private const string AmdId = "AuthenticAMD";

    /// <summary>Hygon's processors are AMD's design under another name; what else there is follows Intel's manual.</summary>
    private const string HygonId = "HygonGenuine";

    /// <summary>This host's.</summary>
    public static CpuVendor Host { get; } = Identification(X86Base.CpuId(0, 0)) is AmdId or HygonId ? CpuVendor.Amd : CpuVendor.Intel;

    public static string Name(this CpuVendor vendor) => vendor == CpuVendor.Amd ? "AMD" : "Intel";

    /// <summary>CPUID leaf 0: EBX, EDX, ECX in this order.</summary>
    public static string Identification(this CpuVendor vendor) => vendor == CpuVendor.Amd ? AmdId : IntelId;

    private static string Identification((int Eax, int Ebx, int Ecx, int Edx) leaf) =>
        System.Text.Encoding.ASCII.GetString(MemoryMarshal.AsBytes<int>((int[])[leaf.Ebx, leaf.Edx, leaf.Ecx]));
}
