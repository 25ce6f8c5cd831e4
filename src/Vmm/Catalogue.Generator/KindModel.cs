using System.Collections.Generic;
using System.Linq;
using System.Text;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace WebVm.Vmm.Catalogue.Generator;

/// <summary>What is generated of one kind: text, so that it compares by value and nothing is written anew that did not change.</summary>
/// <param name="Name">The kind's name.</param>
/// <param name="Body">Statements that return the catalogue's entry.</param>
/// <param name="Fault">Why there is no body.</param>
/// <param name="Place">Where the kind stands.</param>
internal readonly record struct KindModel(string Name, string Body, string? Fault, SourcePlace Place)
{
    private const string Contract = "WebVm.Vmm.Devices.Catalogue.IDeviceKind<TSettings>";

    public static KindModel Of(INamedTypeSymbol kind, AttributeData attribute)
    {
        string name = attribute.ConstructorArguments[0].Value as string ?? "";
        string help = attribute.ConstructorArguments[1].Value as string ?? "";
        var place = SourcePlace.Of(kind);
        if (!IsName(name))
        {
            return new(
                name, "", $"'{name}' is no name of a kind: family and model, of lower-case letters, digits and '-', such as \"serial.16550\"",
                place);
        }

        if (kind.AllInterfaces.FirstOrDefault(
            contract => contract.OriginalDefinition.ToDisplayString() == Contract)?.TypeArguments[0] is not INamedTypeSymbol settings)
        {
            return new(name, "", $"{kind.Name} has [DeviceKind] and does not implement IDeviceKind<TSettings>", place);
        }

        List<SettingModel> models = [.. PropertiesOf(settings).Select(SettingModel.Of)];
        return models.Find(model => model.Fault is not null).Fault is { } fault
            ? new(name, "", fault, place)
            : new(name, WriteBody(kind, settings, name, help, models), null, place);
    }

    private static bool IsName(string name) => name.Length is > 0 and <= 64 && name.Split('.').All(part =>
        part.Length > 0 && part.All(character => character is (>= 'a' and <= 'z') or (>= '0' and <= '9') or '-'));

    /// <summary>Those of records that it derives from first.</summary>
    private static IEnumerable<IPropertySymbol> PropertiesOf(INamedTypeSymbol settings)
    {
        List<INamedTypeSymbol> types = [];
        for (var type = settings; type is not null && type.SpecialType != SpecialType.System_Object; type = type.BaseType)
        {
            types.Insert(0, type);
        }

        return types.SelectMany(type => type.GetMembers().OfType<IPropertySymbol>())
            .Where(property =>
                property is { IsStatic: false, DeclaredAccessibility: Accessibility.Public
                    or Accessibility.Internal, SetMethod: not null });
    }

    private static string WriteBody(INamedTypeSymbol kind, INamedTypeSymbol settings, string name, string help, List<SettingModel> models)
    {
        string type = settings.ToDisplayString(SymbolDisplayFormat.FullyQualifiedFormat);
        var text = new StringBuilder();
        const string indent = "            ";
        if (models.Count > 0)
        {
            string required = string.Join(", ", models.Where(model => model.IsRequired).Select(model => $"{model.Property} = default!"));
            text.Append($"{indent}var initial = new {type}(){(required.Length == 0 ? "" : $" {{ {required} }}")};\n");
        }

        for (int index = 0; index < models.Count; index++)
        {
            text.Append($"{indent}var setting{index} = {models[index].Make};\n");
        }

        text.Append(
            $"{indent}return new global::WebVm.Vmm.Devices.Catalogue.DeviceKind<{kind.ToDisplayString(SymbolDisplayFormat.FullyQualifiedFormat)}, {type}>(\n");
        text.Append(
            $"{indent}    {Literal(name)}, {Literal(help)}, [{string.Join(", ", models.Select((_, index) => $"setting{index}"))}],\n");
        text.Append($"{indent}    json => new {type}()");
        if (models.Count > 0)
        {
            text.Append($"\n{indent}    {{\n");
            for (int index = 0; index < models.Count; index++)
            {
                text.Append($"{indent}        {models[index].Property} = {models[index].Read(index)},\n");
            }

            text.Append($"{indent}    }}");
        }

        text.Append(
            $",\n{indent}    settings =>\n{indent}    {{\n{indent}        var json = new global::System.Text.Json.Nodes.JsonObject();\n");
        for (int index = 0; index < models.Count; index++)
        {
            text.Append($"{indent}        {models[index].Write(index)}\n");
        }

        text.Append($"{indent}        return json;\n{indent}    }});\n");
        return text.ToString();
    }

    internal static string Literal(string text) => SymbolDisplay.FormatLiteral(text, quote: true);
}
