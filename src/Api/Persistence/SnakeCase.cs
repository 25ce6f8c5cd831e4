using System.Text;

namespace WebVm.Api.Persistence;

internal static class SnakeCase
{
    /// <summary>"LastUsedAt" → "last_used_at".</summary>
    public static string From(string name)
    {
        var result = new StringBuilder(name.Length + 8);
        foreach (char c in name)
        {
            if (char.IsUpper(c) && result.Length > 0)
            {
                result.Append('_');
            }

            result.Append(char.ToLowerInvariant(c));
        }

        return result.ToString();
    }
}
