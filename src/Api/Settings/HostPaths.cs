using System.Text.RegularExpressions;
using Microsoft.Extensions.Options;

namespace WebVm.Api.Settings;

/// <summary>
/// Puts messages that were made for administrators into words for users: without the monitor's name and the places of the service's files.
/// Of a file only its own name is left, and of an image's, which users never gave, not even that. The service's log has them in full.
/// </summary>
public sealed partial class HostPaths
{
    private readonly Regex _paths;
    private readonly string _images;

    public HostPaths(IOptions<ServiceOptions> options)
    {
        var service = options.Value;
        _images = Path.GetFullPath(service.ImagesFolder) + "/";
        string?[] roots = [service.Data, service.Catalogue, Path.GetDirectoryName(
            service.Monitor), AppContext.BaseDirectory, Path.GetTempPath()];
        var known = roots.OfType<string>().Select(root => Path.TrimEndingDirectorySeparator(Path.GetFullPath(root)))
            .Where(root => root.Length > 1);
        _paths = new Regex(
            $"""(?:{string.Join('|', known.OrderByDescending(root => root.Length).Select(Regex.Escape))})(?:/[^\s/'":;,]+)*""",
            RegexOptions.CultureInvariant);
    }

    /// <summary>
    /// The text without the folders of what it names, and without zeros, which no database takes: a message that cannot be kept would be an
    /// end that is never written down.
    /// </summary>
    [return: System.Diagnostics.CodeAnalysis.NotNullIfNotNull(nameof(text))]
    public string? Hide(string? text) =>
        text is null ? null : _paths.Replace(ProgramName().Replace(text.Replace('\0', ' '), ""), path => Name(path.Value));

    private string Name(string path) => path.StartsWith(_images, StringComparison.Ordinal) ? "its image" : Path.GetFileName(path);

    [GeneratedRegex("(?<=^|: )webvm-vmm: ", RegexOptions.Multiline | RegexOptions.CultureInvariant)]
    private static partial Regex ProgramName();
}
