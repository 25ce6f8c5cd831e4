using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace WebVm.Vmm.Catalogue.Generator;

/// <summary>The property that gives an assembly's kinds.</summary>
internal readonly record struct CataloguePlace(
    string Namespace, string Type, string Modifiers, string Property, string? Fault, SourcePlace Place)
{
    public static CataloguePlace Of(IPropertySymbol property)
    {
        var type = property.ContainingType;
        string? fault = type.ContainingType is not null || type.IsGenericType || type.ContainingNamespace.IsGlobalNamespace
            || type.TypeKind != TypeKind.Class
            ? "the kinds of an assembly are given by a class that is in a namespace, neither generic nor nested"
            : !property.IsStatic || !property.IsPartialDefinition || property.SetMethod is not null
                ? "the kinds of an assembly are given by a static partial property that is read only"
                : null;
        return new(
            type.ContainingNamespace.ToDisplayString(),
            type.Name,
            $"{SyntaxFacts.GetText(property.DeclaredAccessibility)} static",
            property.Name,
            fault,
            SourcePlace.Of(property));
    }
}
