using System.Globalization;
using System.Text.Json.Nodes;

namespace WebVm.Vmm.Settings;

/// <summary>
/// One setting of whatever a machine is made of: its name, what it takes and within which limits. Data, so that what reads it, what writes
/// it and what explains it to people need not know whose it is.
/// </summary>
/// <param name="name">As in JSON.</param>
/// <param name="help">What it says, in one line.</param>
public abstract class Setting(string name, string help)
{
    public string Name { get; } = name;

    public string Help { get; } = help;

    /// <summary>It has no default.</summary>
    public bool IsRequired { get; init; }

    /// <summary>What a value is, with its limits: "a multiple of 8 from 320 to 3840".</summary>
    public abstract string Takes { get; }

    /// <summary>The value of one that is not given; null where that means something of its own.</summary>
    public abstract JsonNode? DefaultJson { get; }

    /// <summary>Whether a value is to be read; one that is required and absent becomes a fault.</summary>
    protected bool IsGiven(SpecObject json)
    {
        if (IsRequired)
        {
            json.Missing(Name);
        }

        return json.Has(Name);
    }
}

/// <summary>A setting whose values are of one type.</summary>
public abstract class Setting<T>(string name, string help) : Setting(name, help)
    where T : notnull
{
    public T? Default { get; init; }

    public bool HasDefault { get; init; }

    public override JsonNode? DefaultJson => HasDefault ? ToJson(Default!) : null;

    /// <summary>The value that is given, or the default. What is wrong becomes a fault of the field.</summary>
    public T Read(SpecObject json) => IsGiven(json) && TryRead(json, out var value) ? value : Default!;

    /// <summary>The same for a setting that may be absent.</summary>
    public bool TryReadGiven(SpecObject json, out T value)
    {
        value = Default!;
        return IsGiven(json) && TryRead(json, out value);
    }

    public abstract JsonNode ToJson(T value);

    protected abstract bool TryRead(SpecObject json, out T value);
}

/// <summary>true or false.</summary>
public sealed class FlagSetting(string name, string help) : Setting<bool>(name, help)
{
    public override string Takes => "true or false";

    public override JsonNode ToJson(bool value) => value;

    protected override bool TryRead(SpecObject json, out bool value)
    {
        value = json.Flag(Name, Default);
        return true;
    }
}

/// <summary>An integer.</summary>
public sealed class IntegerSetting(string name, string help) : Setting<long>(name, help)
{
    public long Minimum { get; init; } = long.MinValue;

    public long Maximum { get; init; } = long.MaxValue;

    public long Multiple { get; init; } = 1;

    public override string Takes => string.Create(CultureInfo.InvariantCulture,
        $"{(Multiple == 1 ? "an integer" : $"a multiple of {Multiple}")} from {Minimum} to {Maximum}");

    public override JsonNode ToJson(long value) => value;

    protected override bool TryRead(SpecObject json, out long value)
    {
        if (json.Number(Name) is not { } number)
        {
            value = Default;
            return false;
        }

        value = number;
        if (number >= Minimum && number <= Maximum && number % Multiple == 0)
        {
            return true;
        }

        json.Fault(Name, $"{number}; it takes {Takes}");
        return false;
    }
}

/// <summary>A number of bytes, as a number or in <see cref="ByteSize"/>'s form.</summary>
public sealed class SizeSetting(string name, string help) : Setting<ulong>(name, help)
{
    public ulong Minimum { get; init; }

    public ulong Maximum { get; init; } = long.MaxValue;

    public ulong Multiple { get; init; } = 1;

    public override string Takes =>
        $"a size from {ByteSize.Format(Minimum)} to {ByteSize.Format(Maximum)}{(Multiple == 1 ? "" : $", a multiple of {ByteSize.Format(Multiple)}")}";

    public override JsonNode ToJson(ulong value) => ByteSize.Format(value);

    protected override bool TryRead(SpecObject json, out ulong value)
    {
        if (json.Size(Name) is not { } size)
        {
            value = Default;
            return false;
        }

        value = size;
        if (size >= Minimum && size <= Maximum && size % Multiple == 0)
        {
            return true;
        }

        json.Fault(Name, $"{ByteSize.Format(size)}; it takes {Takes}");
        return false;
    }
}

/// <summary>Text without control characters.</summary>
public sealed class TextSetting(string name, string help) : Setting<string>(name, help)
{
    /// <summary>Characters.</summary>
    public int Minimum { get; init; }

    /// <summary>Characters.</summary>
    public int Maximum { get; init; } = 255;

    public override string Takes => $"text of {Minimum} to {Maximum} characters";

    public override JsonNode ToJson(string value) => value;

    protected override bool TryRead(SpecObject json, out string value)
    {
        value = json.Text(Name) ?? "";
        if (json.Text(Name) is null)
        {
            return false;
        }

        if (value.Length >= Minimum && value.Length <= Maximum && !value.Any(char.IsControl))
        {
            return true;
        }

        json.Fault(Name, $"it takes {Takes}, none of them a control character");
        return false;
    }
}

/// <summary>One of a few names.</summary>
public sealed class ChoiceSetting<T>(string name, string help, params IReadOnlyList<(string Name, T Value)> choices)
    : Setting<T>(name, help)
    where T : struct, Enum
{
    public override string Takes => $"one of {string.Join(", ", choices.Select(choice => choice.Name))}";

    public override JsonNode ToJson(T value) => choices.First(choice => EqualityComparer<T>.Default.Equals(choice.Value, value)).Name;

    protected override bool TryRead(SpecObject json, out T value)
    {
        value = Default;
        if (json.Text(Name) is not { } text)
        {
            return false;
        }

        foreach (var choice in choices)
        {
            if (choice.Name == text)
            {
                value = choice.Value;
                return true;
            }
        }

        json.Fault(Name, $"'{text}'; it takes {Takes}");
        return false;
    }
}
