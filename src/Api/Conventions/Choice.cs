using System.Diagnostics.CodeAnalysis;

namespace WebVm.Api.Conventions;

/// <summary>An enumeration's value in a query, written as in JSON; letter case does not matter, numbers and lists are no names.</summary>
[SuppressMessage("Design", "CA1000", Justification = "IParsable<T> is made of static members; binding calls them.")]
public readonly record struct Choice<T>(T Value) : IParsable<Choice<T>>
    where T : struct, Enum
{
    public static Choice<T> Parse(string s, IFormatProvider? provider) =>
        TryParse(s, provider, out var choice)
            ? choice
            : throw new FormatException($"\"{s}\" is none of {string.Join(", ", Enum.GetNames<T>())}.");

    public static bool TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out Choice<T> result)
    {
        bool known = Enum.TryParse(s, ignoreCase: true, out T value) && Enum.IsDefined(value) && s.All(char.IsAsciiLetter);
        result = new(value);
        return known;
    }
}
