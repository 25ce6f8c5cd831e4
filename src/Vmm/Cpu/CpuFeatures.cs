namespace WebVm.Vmm.Cpu;

/// <summary>What CPUID offers a guest only when its machine's spec asks for it.</summary>
[Flags]
public enum CpuFeatures
{
    None = 0,

    /// <summary>5-level paging: 57-bit virtual addresses, at the price of one more level in every page walk (SDM Vol. 3A §4.5).</summary>
    La57 = 1 << 0,
}
