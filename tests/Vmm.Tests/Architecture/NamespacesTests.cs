using System.Text.RegularExpressions;
using Xunit;

namespace WebVm.Vmm.Tests.Architecture;

public sealed partial class NamespacesTests
{
    [Fact]
    public void Namespaces_follow_folders()
    {
        string sources = Path.Combine(Repository.Root, "src", "Vmm");
        var wrong = Directory.EnumerateFiles(sources, "*.cs", SearchOption.AllDirectories)
            .Where(file => !file.Contains("/obj/", StringComparison.Ordinal) && !file.Contains("/bin/", StringComparison.Ordinal))
            .Select(file =>
                (file, Expected: Expected(sources, file), Actual: NamespaceLine().Match(File.ReadAllText(file)) is { Success: true } match
                    ? match.Groups[1].Value
                    : null))
            // A type that the compiler looks for by its name is where the framework would have it.
            .Where(entry => entry.Actual is not null && entry.Actual != entry.Expected
                && !entry.Actual.StartsWith("System.", StringComparison.Ordinal))
            .Select(entry => $"{Path.GetRelativePath(sources, entry.file)}: {entry.Actual}, not {entry.Expected}").ToList();
        Assert.True(wrong.Count == 0, string.Join(Environment.NewLine, wrong));
    }

    private static string Expected(string sources, string file)
    {
        string folder = Path.GetRelativePath(sources, Path.GetDirectoryName(file)!);
        return folder == "." ? "WebVm.Vmm" : "WebVm.Vmm." + folder.Replace('/', '.');
    }

    [GeneratedRegex(@"^namespace ([\w.]+)[;\s]", RegexOptions.Multiline)]
    private static partial Regex NamespaceLine();
}
