using System.Text.RegularExpressions;
using Xunit;

namespace WebVm.Vmm.Tests.Architecture;

/// <summary>
/// docs/adding.md shows code that is compiled and run: a block is of the file that it names, or of the device that Guest.Tests boots Linux
/// with.
/// </summary>
public sealed partial class AddingPageTests
{
    [Fact]
    public void The_code_of_the_page_is_that_of_the_house()
    {
        string device = string.Concat(
            Directory.EnumerateFiles(Path.Combine(Repository.Root, "tests", "Guest.Tests", "OwnDevice"), "*.cs").Select(File.ReadAllText));
        var blocks =
            Block().Matches(File.ReadAllText(Path.Combine(Repository.Root, "docs", "adding.md")))
                .Select(match => (File: match.Groups["file"].Value, Code: match.Groups["code"].Value)).ToList();
        Assert.True(blocks.Count(block => block.File.Length == 0) >= 5);
        Assert.True(blocks.Count(block => block.File.StartsWith("src/", StringComparison.Ordinal)) >= 5);
        Assert.All(
            blocks, block => Assert.Contains(
                block.Code, block.File.Length == 0 ? device : File.ReadAllText(Path.Combine(Repository.Root, block.File)),
                StringComparison.Ordinal));
    }

    [GeneratedRegex(@"^```(?:csharp|razor)(?: (?<file>\S+))?\n(?<code>.*?)^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Block();
}
