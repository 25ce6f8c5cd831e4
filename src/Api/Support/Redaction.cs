using System.Text.RegularExpressions;

namespace WebVm.Api.Support;

/// <summary>
/// Takes out of a text what opens something: tokens, tickets, one-time links, passwords, and the values that the service was given as
/// secrets.
/// </summary>
internal sealed partial class Redaction(params IEnumerable<string?> secrets)
{
    private const string Mark = "[removed]";

    // A short value would be found everywhere, and be no secret.
    private const int ShortestSecret = 6;

    private readonly string[] _secrets = [.. secrets.OfType<string>().Where(secret => secret.Length >= ShortestSecret)
        .OrderByDescending(secret => secret.Length)];

    public string Apply(string text)
    {
        foreach (string secret in _secrets)
        {
            text = text.Replace(secret, Mark, StringComparison.Ordinal);
        }

        text = Tokens().Replace(text, Mark);
        text = Named().Replace(text, match => match.Groups[1].Value + Mark);
        return Keys().Replace(text, Mark);
    }

    [GeneratedRegex("wvm_[A-Za-z0-9_-]+")]
    private static partial Regex Tokens();

    [GeneratedRegex("""((?:password|passwd|pwd|secret|token|ticket|code|authorization|cookie|api[-_]?key)["']?\s*[=:]\s*["']?(?:Bearer\s+|Basic\s+)?)[^\s;&,"']+""",
        RegexOptions.IgnoreCase)]
    private static partial Regex Named();

    [GeneratedRegex("-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)", RegexOptions.Singleline)]
    private static partial Regex Keys();
}
