namespace WebVm.Vmm.Cpu.Soft;

/// <summary>What CPUID tells the guest.</summary>
internal static unsafe class CpuidPolicy
{
    /// <summary>Family 6, a model that no table of quirks knows, stepping 1 (leaf 1 EAX; also EDX after reset).</summary>
    public const uint Signature = 0x000e_06f1;
}
