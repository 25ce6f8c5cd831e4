using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;
using Microsoft.CodeAnalysis;

namespace WebVm.Vmm.Catalogue.Generator;

/// <summary>What is generated of one property of a settings record.</summary>
internal readonly record struct SettingModel
{
    private const string Room = "global::WebVm.Vmm.Settings.";

    public string Property { get; private init; }

    public bool IsRequired { get; private init; }

    /// <summary>The expression that makes the setting.</summary>
    public string Make { get; private init; }

    public string? Fault { get; private init; }

    /// <summary>The property's type, without its question mark.</summary>
    private string Type { get; init; }

    /// <summary>The type that the setting's values have.</summary>
    private string Wide { get; init; }

    private bool IsOptional { get; init; }

    public string Read(int index) => IsOptional
        ? $"setting{index}.TryReadGiven(json, out var given{index}) ? ({Type})given{index} : initial.{Property}"
        : $"({Type})setting{index}.Read(json)";

    public string Write(int index) => IsOptional
        ? $"if (settings.{Property} is {{ }} given{index}) {{ json[setting{index}.Name] = setting{index}.ToJson(({Wide})given{index}); }}"
        : $"json[setting{index}.Name] = setting{index}.ToJson(({Wide})settings.{Property});";

    public static SettingModel Of(IPropertySymbol property)
    {
        if (property.GetAttributes()
            .FirstOrDefault(
                attribute => attribute.AttributeClass?.ToDisplayString() == "WebVm.Vmm.Settings.SettingAttribute") is not { } attribute)
        {
            return Wrong(property, "has no [Setting]");
        }

        var type = property.Type is INamedTypeSymbol { OriginalDefinition.SpecialType: SpecialType.System_Nullable_T } nullable
            ? nullable.TypeArguments[0]
            : property.Type;
        bool optional = !SymbolEqualityComparer.Default.Equals(type, property.Type)
            || property.NullableAnnotation == NullableAnnotation.Annotated;
        string helpText = attribute.ConstructorArguments[0].Value as string ?? "";
        var limits = attribute.NamedArguments.ToDictionary(argument => argument.Key, argument => (long)argument.Value.Value!);
        string arguments = $"{KindModel.Literal(CamelCase(property.Name))}, {KindModel.Literal(helpText)}";
        string common = property.IsRequired ? "IsRequired = true" : optional ? "" : $"HasDefault = true, Default = initial.{property.Name}";
        string name = type.ToDisplayString(SymbolDisplayFormat.FullyQualifiedFormat);
        var (setting, wide, own) = type.SpecialType switch
        {
            SpecialType.System_Boolean => ("FlagSetting", "bool", new List<string>()),
            SpecialType.System_Byte => ("IntegerSetting", "long", Range(limits, byte.MinValue, byte.MaxValue)),
            SpecialType.System_UInt16 => ("IntegerSetting", "long", Range(limits, ushort.MinValue, ushort.MaxValue)),
            SpecialType.System_Int32 => ("IntegerSetting", "long", Range(limits, int.MinValue, int.MaxValue)),
            SpecialType.System_UInt32 => ("IntegerSetting", "long", Range(limits, uint.MinValue, uint.MaxValue)),
            SpecialType.System_Int64 => ("IntegerSetting", "long", Range(limits, long.MinValue, long.MaxValue)),
            SpecialType.System_UInt64 => ("SizeSetting", "ulong", Range(limits, 0, long.MaxValue)),
            SpecialType.System_String => ("TextSetting", "string", TextLimits(limits)),
            _ when type.TypeKind == TypeKind.Enum => ($"ChoiceSetting<{name}>", name, []),
            _ => ("", "", []),
        };
        if (setting.Length == 0)
        {
            return Wrong(
                property, $"is a {type.Name}, which no setting is: there are flags, integers, sizes (ulong), text and enumerations");
        }

        if (type.TypeKind == TypeKind.Enum)
        {
            arguments += string.Concat(
                type.GetMembers().OfType<IFieldSymbol>()
                    .Select(member => $", ({KindModel.Literal(KebabCase(member.Name))}, {name}.{member.Name})"));
        }

        if (common.Length > 0)
        {
            own.Add(common);
        }

        return new SettingModel
        {
            Property = property.Name,
            IsRequired = property.IsRequired,
            IsOptional = optional && !property.IsRequired,
            Type = name,
            Wide = wide,
            Make = $"new {Room}{setting}({arguments}){(own.Count == 0 ? "" : $" {{ {string.Join(", ", own)} }}")}",
        };
    }

    private static SettingModel Wrong(IPropertySymbol property, string why) =>
        new() { Property = property.Name, Fault = $"{property.ContainingType.Name}.{property.Name} {why}" };

    private static List<string> Range(Dictionary<string, long> limits, long least, long greatest)
    {
        long minimum = System.Math.Max(least, limits.TryGetValue("Minimum", out long low) ? low : least);
        long maximum = System.Math.Min(greatest, limits.TryGetValue("Maximum", out long high) ? high : greatest);
        List<string> range = [$"Minimum = {Number(minimum)}", $"Maximum = {Number(maximum)}"];
        if (limits.TryGetValue("Multiple", out long multiple))
        {
            range.Add($"Multiple = {Number(multiple)}");
        }

        return range;
    }

    private static List<string> TextLimits(Dictionary<string, long> limits) =>
        [.. limits.Where(limit => limit.Key != "Multiple").Select(limit => $"{limit.Key} = {Number(limit.Value)}")];

    private static string Number(long value) => value == long.MinValue ? "long.MinValue" : value.ToString(CultureInfo.InvariantCulture);

    private static string CamelCase(string name) => char.ToLowerInvariant(name[0]) + name.Substring(1);

    private static string KebabCase(string name)
    {
        var text = new StringBuilder();
        foreach (char character in name)
        {
            if (char.IsUpper(character) && text.Length > 0)
            {
                text.Append('-');
            }

            text.Append(char.ToLowerInvariant(character));
        }

        return text.ToString();
    }
}
