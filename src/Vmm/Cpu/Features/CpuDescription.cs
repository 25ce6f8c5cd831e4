using System.Text.Json.Serialization;

namespace WebVm.Vmm.Cpu.Features;

/// <summary>A machine's processor as saved states remember it and people read it.</summary>
public sealed record CpuDescription
{
    /// <summary>What the features were decided from; see <see cref="CpuModels.Name"/>.</summary>
    public required string Model { get; init; }

    [JsonConverter(typeof(JsonStringEnumConverter<CpuVendor>))]
    public required CpuVendor Vendor { get; init; }

    /// <summary>Names of <see cref="CpuFeature.All"/>.</summary>
    public required IReadOnlyList<string> Features { get; init; }

    internal static CpuDescription Of(CpuProfile profile) =>
        new() { Model = profile.Model.Name(), Vendor = profile.Vendor,
            Features = [.. profile.Features.Named().Select(feature => feature.Name)] };
}
