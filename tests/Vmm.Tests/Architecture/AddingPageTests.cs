using System.Text.RegularExpressions;
using Xunit;

namespace WebVm.Vmm.Tests.Architecture;

/// <summary>docs/adding.md shows code that is compiled and run: the device that Guest.Tests boots Linux with.</summary>
public sealed partial class AddingPageTests
{
    [Fact]
    public void The_code_of_the_page_is_that_of_the_device()
    {
        string sources = string.Concat(Directory.EnumerateFiles(Path.Combine(Repository.Root, "tests", "Guest.Tests", "OwnDevice"), "*.cs").Select(File.ReadAllText));
        var blocks = Block().Matches(File.ReadAllText(Path.Combine(Repository.Root, "docs", "adding.md"))).Select(match => match.Groups[1].Value).ToList();
        Assert.True(blocks.Count >= 5);
        Assert.All(blocks, block => Assert.Contains(block, sources, StringComparison.Ordinal));
    }

    [GeneratedRegex(@"^```csharp\n(.*?)^```", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Block();
}
