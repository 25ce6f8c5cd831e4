using System.Text.RegularExpressions;
using Microsoft.Extensions.Options;

namespace WebVm.Api.Hosting;

/// <summary>
/// Takes the places of the service's files out of messages for its users: only a file's own name is left. The service's log has them in full.
/// </summary>
public sealed class HostPaths
{
    private readonly Regex _paths;

    public HostPaths(IOptions<ServiceOptions> options)
    {
        var service = options.Value;
        string?[] roots = [service.Data, service.Catalogue, Path.GetDirectoryName(service.Monitor), AppContext.BaseDirectory, Path.GetTempPath()];
        var known = roots.OfType<string>().Select(root => Path.TrimEndingDirectorySeparator(Path.GetFullPath(root))).Where(root => root.Length > 1);
        _paths = new Regex($"""(?:{string.Join('|', known.OrderByDescending(root => root.Length).Select(Regex.Escape))})(?:/[^\s/'":;,]+)*""", RegexOptions.CultureInvariant);
    }

    /// <summary>The text without the folders of what it names.</summary>
    [return: System.Diagnostics.CodeAnalysis.NotNullIfNotNull(nameof(text))]
    public string? Hide(string? text) => text is null ? null : _paths.Replace(text, path => Path.GetFileName(path.Value));
}
