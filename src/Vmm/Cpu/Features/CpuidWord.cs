namespace WebVm.Vmm.Cpu.Features;

/// <summary>The registers of CPUID that consist of feature bits (SDM Vol. 2A, CPUID; APM Vol. 3 appendix E).</summary>
internal enum CpuidWord
{
    Leaf1Edx,
    Leaf1Ecx,
    Leaf7Ebx,
    Leaf7Ecx,
    Leaf7Edx,
    Leaf7Subleaf1Eax,
    Leaf7Subleaf2Edx,
    LeafDSubleaf1Eax,
    Extended1Edx,
    Extended1Ecx,
    Extended7Edx,
    Extended8Ebx,
    Extended21Eax,
    Extended21Ecx,
}

/// <summary>Where a <see cref="CpuidWord"/> is found.</summary>
internal static class CpuidWords
{
    public const int Count = (int)CpuidWord.Extended21Ecx + 1;

    /// <summary>The leaves that have any.</summary>
    public static IReadOnlyList<(uint Leaf, uint Subleaf)> Leaves { get; } =
        [(1, 0), (7, 0), (7, 1), (7, 2), (0xd, 1), (0x8000_0001, 0), (0x8000_0007, 0), (0x8000_0008, 0), (0x8000_0021, 0)];

    /// <summary>The word of a leaf's register (0 to 3 for EAX to EDX), if it is one.</summary>
    public static CpuidWord? At(uint leaf, uint subleaf, int register) => (leaf, subleaf, register) switch
    {
        (1, _, 3) => CpuidWord.Leaf1Edx,
        (1, _, 2) => CpuidWord.Leaf1Ecx,
        (7, 0, 1) => CpuidWord.Leaf7Ebx,
        (7, 0, 2) => CpuidWord.Leaf7Ecx,
        (7, 0, 3) => CpuidWord.Leaf7Edx,
        (7, 1, 0) => CpuidWord.Leaf7Subleaf1Eax,
        (7, 2, 3) => CpuidWord.Leaf7Subleaf2Edx,
        (0xd, 1, 0) => CpuidWord.LeafDSubleaf1Eax,
        (0x8000_0001, _, 3) => CpuidWord.Extended1Edx,
        (0x8000_0001, _, 2) => CpuidWord.Extended1Ecx,
        (0x8000_0007, _, 3) => CpuidWord.Extended7Edx,
        (0x8000_0008, _, 1) => CpuidWord.Extended8Ebx,
        (0x8000_0021, _, 0) => CpuidWord.Extended21Eax,
        (0x8000_0021, _, 2) => CpuidWord.Extended21Ecx,
        _ => null,
    };
}
