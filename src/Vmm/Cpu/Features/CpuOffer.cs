namespace WebVm.Vmm.Cpu.Features;

/// <summary>The processor that was asked for cannot be had of the engine.</summary>
public sealed class CpuUnavailableException(string message) : Exception(message);

/// <summary>What an engine can show its guests on this host.</summary>
/// <param name="Engine">For messages: "the soft engine", "this host's KVM".</param>
/// <param name="Available">By vendor: all that can be shown; null where that vendor's processors cannot be.</param>
/// <param name="Withheld">Not given to guests that ask for nothing.</param>
/// <param name="ShowsModels">What guests see can be chosen. A KVM that cannot intercept CPUID shows them the host's, whatever is asked
/// for.</param>
internal sealed record CpuOffer(
    string Engine, Func<CpuVendor, CpuFeatureSet?> Available, CpuFeatureSet Withheld = default, bool ShowsModels = true)
{
    /// <summary>Decides on a machine's processor.</summary>
    /// <exception cref="CpuUnavailableException">It cannot be had; the message names what of it.</exception>
    public CpuProfile Resolve(CpuSpec spec)
    {
        var vendor = spec.Vendor ?? CpuVendors.Host;
        var available = AvailableOf(vendor);
        if (!ShowsModels && (spec.Model != CpuModel.Host || spec.Features.Count > 0) && Differs(spec, available))
        {
            string wanted = string.Join(
                ", ", spec.Features.Select(feature => (feature.Value ? "+" : "-") + feature.Key).Prepend(spec.Model.Name()));
            throw new CpuUnavailableException(
                $"{Engine} shows guests the host's processor whatever is asked for ({wanted}): there is no other model, and no feature can be added or taken away; the soft engine can show others");
        }

        var features = spec.Model == CpuModel.Host ? Default(available) : CpuModels.Features(spec.Model);
        Require(features, available, $"has no {spec.Model.Name()}: it lacks");
        foreach (var (name, offered) in spec.Features)
        {
            var feature = CpuFeature.Find(name) ?? throw new CpuUnavailableException($"no feature is called {name}");
            features = offered ? features.With(feature) : Without(features, feature);
        }

        Require(features, available, "does not offer guests");
        foreach (var feature in features.Named())
        {
            if (feature.Needs is { } needed && !features.Has(CpuFeature.Find(needed)!))
            {
                throw new CpuUnavailableException($"{feature} needs {needed}, which the processor would not have");
            }
        }

        return new CpuProfile(spec.Model, vendor, features);
    }

    /// <summary>Decides on the processor that a saved guest goes on with: the one that it knows.</summary>
    /// <param name="model">What the features were once decided from. For the host's a guest bears to miss what is only advice.</param>
    /// <exception cref="CpuUnavailableException">The engine cannot show it.</exception>
    public CpuProfile Continue(CpuModel model, CpuVendor vendor, CpuFeatureSet features)
    {
        var available = AvailableOf(vendor);
        if (!ShowsModels && model != CpuModel.Host)
        {
            throw new CpuUnavailableException(
                $"{Engine} shows guests the host's processor whatever is asked for, and the state's guest knows a {model.Name()}");
        }

        var needed = model == CpuModel.Host ? CpuFeatureSet.Of(features.Named().Where(feature => !feature.Advisory)) : features;
        Require(needed, available, "cannot go on with the state's guest, which was offered");
        var shown = features;
        for (int i = 0; i < CpuidWords.Count; i++)
        {
            shown[i] &= available[i];
        }

        return new CpuProfile(model, vendor, shown);
    }

    /// <summary>What guests get that ask for nothing.</summary>
    public CpuFeatureSet Default(CpuFeatureSet available) =>
        available.Except(Withheld).Except(CpuFeatureSet.Of(CpuFeature.All.Where(feature => feature.OnRequest)));

    private CpuFeatureSet AvailableOf(CpuVendor vendor) => Available(vendor)
        ?? throw new CpuUnavailableException(
            $"{Engine} shows guests the host's processor, which is one of {CpuVendors.Host.Name()}'s; one of {vendor.Name()}'s can be had of the soft engine");

    /// <summary>A feature that the host's processor shows anyway may be asked for.</summary>
    private static bool Differs(CpuSpec spec, CpuFeatureSet available) => spec.Model != CpuModel.Host
        || spec.Features.Any(
            wanted => CpuFeature.Find(wanted.Key) is not { } feature || available.Has(feature) != wanted.Value || feature.OnRequest);

    private void Require(CpuFeatureSet features, CpuFeatureSet available, string what)
    {
        var missing = features.Except(available).Named();
        if (missing.Count > 0)
        {
            throw new CpuUnavailableException($"{Engine} {what} {string.Join(", ", missing)}");
        }
    }

    /// <summary>Takes a feature away, and what makes no sense without it.</summary>
    private static CpuFeatureSet Without(CpuFeatureSet features, CpuFeature taken)
    {
        features = features.Without(taken);
        foreach (var feature in features.Named())
        {
            if (feature.Needs == taken.Name)
            {
                features = Without(features, feature);
            }
        }

        return features;
    }
}
