using System.Collections.Concurrent;
using System.Security.Cryptography;

namespace WebVm.Web;

/// <summary>Addresses of static files that change with their content, so that browsers may keep them for good.</summary>
public sealed class Assets(IWebHostEnvironment environment)
{
    private const string Forever = "public, max-age=31536000, immutable";

    private const string Version = "v";

    private readonly ConcurrentDictionary<string, string> _addresses = new(StringComparer.Ordinal);

    public string this[string path] => _addresses.GetOrAdd(path, Address);

    /// <summary>What is asked for by content is kept; all else is checked each time.</summary>
    public StaticFileOptions Options => new()
    {
        // Of a version that is not this one's nobody is to keep this one's bytes for ever.
        OnPrepareResponse = file => file.Context.Response.Headers.CacheControl =
            file.Context.Request.Query.TryGetValue(Version, out var version)
                && this[file.Context.Request.Path.Value!.TrimStart('/')].EndsWith($"?{Version}={version}", StringComparison.Ordinal)
                    ? Forever
                    : "no-cache",
    };

    private string Address(string path)
    {
        var file = environment.WebRootFileProvider.GetFileInfo(path);
        if (!file.Exists)
        {
            return "/" + path;
        }

        using var content = file.CreateReadStream();
        return $"/{path}?{Version}={Convert.ToHexStringLower(SHA256.HashData(content).AsSpan(0, 6))}";
    }
}
