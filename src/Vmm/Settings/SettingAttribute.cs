namespace WebVm.Vmm.Settings;

/// <summary>
/// Makes a property of a settings record a setting: its JSON name is the property's in camel case, its default what a new record has. A
/// ulong is a number of bytes, which people write as "64M" too; members of an enumeration are written in lower case with '-' between words.
/// </summary>
/// <param name="help">What it says, in one line.</param>
[AttributeUsage(AttributeTargets.Property)]
public sealed class SettingAttribute(string help) : Attribute
{
    public string Help { get; } = help;

    /// <summary>The least value of a number; the shortest text, in characters.</summary>
    public long Minimum { get; init; } = long.MinValue;

    /// <summary>The greatest value of a number; the longest text, in characters.</summary>
    public long Maximum { get; init; } = long.MaxValue;

    /// <summary>A number is a multiple of this.</summary>
    public long Multiple { get; init; } = 1;
}
