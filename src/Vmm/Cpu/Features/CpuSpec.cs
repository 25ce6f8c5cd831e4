namespace WebVm.Vmm.Cpu.Features;

/// <summary>The processor that a machine's spec asks for.</summary>
public sealed record CpuSpec
{
    public CpuModel Model { get; init; }

    /// <summary>Null for the host's.</summary>
    public CpuVendor? Vendor { get; init; }

    /// <summary>Features by name that are offered beyond the model's (true), or taken away from them (false).</summary>
    public IReadOnlyDictionary<string, bool> Features { get; init; } = new SortedDictionary<string, bool>(StringComparer.Ordinal);

    /// <summary>vCPUs that the machine has places for, in its topology and its tables; null for those that it starts with.</summary>
    public int? Maximum { get; init; }

    /// <summary>Nothing is asked for, as far as one processor is concerned.</summary>
    public bool IsDefault => Model == CpuModel.Host && Vendor is null && Features.Count == 0;

    /// <summary>Names that features may have, for messages and help.</summary>
    public static IEnumerable<string> FeatureNames => CpuFeature.All.Select(feature => feature.Name);

    public static bool IsFeature(string name) => CpuFeature.Find(name) is not null;

    /// <summary>"la57", "+la57" to offer, "-avx2" to take away.</summary>
    public static (string Name, bool Offered) ParseFeature(string text) =>
        text.Length > 0 && text[0] is '+' or '-' ? (text[1..], text[0] == '+') : (text, true);

    /// <summary>A sentence for each feature that cannot be as asked for, whatever the engine, by its name.</summary>
    public IEnumerable<(string Feature, string Fault)> Faults()
    {
        foreach (var (name, offered) in Features)
        {
            if (CpuFeature.Find(name) is not { } feature)
            {
                yield return (name, $"no feature of that name is known; there are {string.Join(", ", FeatureNames)}");
            }
            else if (feature.Fixed && !offered)
            {
                yield return (name, "no machine can be without it");
            }
            else if (offered && feature.Needs is { } needed && Features.TryGetValue(needed, out bool has) && !has)
            {
                yield return (name, $"it needs {needed}, which is taken away");
            }
            else if (offered && feature.Vendor is { } vendor && Vendor is { } asked && vendor != asked)
            {
                yield return (name, $"only processors of {vendor.Name()} have it");
            }
        }
    }
}
