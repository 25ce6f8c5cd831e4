using System.Text.RegularExpressions;

namespace WebVm.Api.Conventions;

/// <summary>Names of resources: what fits a host name (RFC 1123 §2.1), so that a VM's name can be its guest's.</summary>
public static partial class Names
{
    public const int LongestName = 63;

    public static IEnumerable<FieldFault> Check(string pointer, string? name)
    {
        if (string.IsNullOrEmpty(name))
        {
            yield return new(pointer, "is required");
        }
        else if (name.Length > LongestName || !Form().IsMatch(name))
        {
            yield return new(
                pointer, $"must be 1 to {LongestName} letters, digits, dots, underscores or hyphens, and begin and end with a letter or digit");
        }
    }

    [GeneratedRegex(@"\A[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?\z")]
    private static partial Regex Form();
}

/// <summary>Passwords: length is what counts (NIST SP 800-63B §5.1.1.2).</summary>
public static class Passwords
{
    public const int Shortest = 12;
    public const int Longest = 256;

    public static IEnumerable<FieldFault> Check(string pointer, string? password)
    {
        if (password is null || password.Length is < Shortest or > Longest)
        {
            yield return new(pointer, $"must have {Shortest} to {Longest} characters");
        }
    }
}
