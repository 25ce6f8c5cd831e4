using System.Buffers.Text;
using System.Collections.Concurrent;
using System.Security.Cryptography;

namespace WebVm.Api.Identity;

/// <summary>One-time codes that sign a browser in as administrator; printed at the service's start, gone with it.</summary>
public sealed class SignInLinks(TimeProvider time)
{
    private static readonly TimeSpan Lifetime = TimeSpan.FromHours(1);

    private readonly ConcurrentDictionary<string, DateTimeOffset> _codes = new(StringComparer.Ordinal);

    public string Create()
    {
        string code = Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(24));
        _codes[code] = time.GetUtcNow() + Lifetime;
        return code;
    }

    /// <summary>True once for every code that has not expired.</summary>
    public bool TryUse(string code) => _codes.TryRemove(code, out var expires) && expires > time.GetUtcNow();
}
