using System.Linq;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.Text;

namespace WebVm.Vmm.Catalogue.Generator;

/// <summary>A place in the source, compared by value: a model that held the compiler's own would be new at every key stroke.</summary>
internal readonly record struct SourcePlace(string Path, TextSpan Span, LinePositionSpan Lines)
{
    public static SourcePlace Of(ISymbol symbol) => symbol.Locations.FirstOrDefault(location => location.IsInSource) is { } location
        ? new(location.SourceTree!.FilePath, location.SourceSpan, location.GetLineSpan().Span)
        : default;

    public Location ToLocation() => Path is null ? Location.None : Location.Create(Path, Span, Lines);
}
