namespace WebVm.Vmm.Cpu.Features;

/// <summary>A feature that CPUID tells of, under the name that Linux's /proc/cpuinfo gives it where it has one.</summary>
internal sealed partial record CpuFeature(string Name, CpuidWord Word, int Bit)
{
    public uint Mask => 1u << Bit;

    /// <summary>The one whose processors have it; null for both.</summary>
    public CpuVendor? Vendor { get; init; }

    /// <summary>A feature without which it makes no sense.</summary>
    public string? Needs { get; init; }

    /// <summary>No machine can be without it, as its interrupt controllers and monitor rely on it.</summary>
    public bool Fixed { get; init; }

    /// <summary>Offered only to those who ask, as it costs something.</summary>
    public bool OnRequest { get; init; }

    /// <summary>
    /// It tells of speed or of faults that the processor lacks; a guest that goes on where it is not shown misses nothing.
    /// </summary>
    public bool Advisory { get; init; }

    /// <summary>Bits of CR4 that may be set with it.</summary>
    public ulong Cr4 { get; init; }

    /// <summary>Bits of XCR0.</summary>
    public ulong Xcr0 { get; init; }

    /// <summary>Bits of IA32_EFER.</summary>
    public ulong Efer { get; init; }

    /// <summary>MSRs that exist with it, or with another that names them too.</summary>
    public IReadOnlyList<uint> Msrs { get; init; } = [];

    /// <summary>Instructions that exist with it, as the decoder groups them.</summary>
    public IReadOnlyList<Iced.Intel.CpuidFeature> Instructions { get; init; } = [];

    public static CpuFeature? Find(string name) => Index.ByName.GetValueOrDefault(name);

    public override string ToString() => Name;

    // A class of its own, as the order in which the parts of this one are initialized is not defined.
    private static class Index
    {
        public static readonly Dictionary<string, CpuFeature> ByName = All.ToDictionary(feature => feature.Name, StringComparer.Ordinal);
    }
}
