using Microsoft.CodeAnalysis;

namespace WebVm.Vmm.Catalogue.Generator;

/// <summary>What the generator says of kinds that it cannot take.</summary>
internal static class Faults
{
    // One-off rules of this repository need no release tracking.
#pragma warning disable RS2008
    public static readonly DiagnosticDescriptor Kind = new(
        "WEBVM001", "A kind of device is not what the catalogue takes", "{0}", "Catalogue", DiagnosticSeverity.Error,
        isEnabledByDefault: true);
#pragma warning restore RS2008
}
