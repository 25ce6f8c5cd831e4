namespace WebVm.Vmm.Cpu.Features;

/// <summary>
/// What a processor offers as a whole: the host's, or a level of the x86-64 psABI (§3.1.1, micro-architecture levels), which is the same on
/// every host, so that a machine moves between hosts of one vendor.
/// </summary>
public enum CpuModel
{
    Host,
    X86_64V2,
    X86_64V3,
    X86_64V4,
}

public static class CpuModels
{
    /// <summary>What every x86-64 processor has, and what a machine needs to run an operating system well.</summary>
    private static readonly string[] s_common =
    [
        "fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", "sep", "mtrr", "pge", "mca", "cmov", "pat", "pse36",
        "clflush", "mmx",
        "fxsr", "sse", "sse2", "x2apic", "tsc_deadline_timer", "hypervisor", "syscall", "nx", "rdtscp", "lm", "constant_tsc",
    ];

    private static readonly string[] s_level2 = ["cx16", "lahf_lm", "popcnt", "sse3", "ssse3", "sse4_1", "sse4_2"];
    private static readonly string[] s_level3 = ["xsave", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe"];
    private static readonly string[] s_level4 = ["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"];

    public static IReadOnlyList<CpuModel> All { get; } = Enum.GetValues<CpuModel>();

    public static string Name(this CpuModel model) => model switch
    {
        CpuModel.X86_64V2 => "x86-64-v2",
        CpuModel.X86_64V3 => "x86-64-v3",
        CpuModel.X86_64V4 => "x86-64-v4",
        _ => "host",
    };

    public static bool TryParse(string text, out CpuModel model)
    {
        model = All.FirstOrDefault(known => known.Name() == text);
        return model != CpuModel.Host || text == "host";
    }

    /// <summary>The features of a model that is not <see cref="CpuModel.Host"/>.</summary>
    internal static CpuFeatureSet Features(CpuModel model)
    {
        IEnumerable<string> names = s_common.Concat(s_level2);
        names = model >= CpuModel.X86_64V3 ? names.Concat(s_level3) : names;
        names = model >= CpuModel.X86_64V4 ? names.Concat(s_level4) : names;
        return CpuFeatureSet.Of(names.Select(name => CpuFeature.Find(name)!));
    }
}
