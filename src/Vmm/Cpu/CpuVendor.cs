namespace WebVm.Vmm.Cpu;

/// <summary>Whose processor a guest meets. The two manuals differ in what system calls, MSRs, null selectors and CPUID do.</summary>
public enum CpuVendor : byte
{
    Intel,
    Amd,
}
