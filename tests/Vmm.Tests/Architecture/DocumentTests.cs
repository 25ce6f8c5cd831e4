using System.Text.RegularExpressions;
using Xunit;

namespace WebVm.Vmm.Tests.Architecture;

/// <summary>The form of the documents and scripts of this checkout.</summary>
public sealed partial class DocumentTests
{
    public static TheoryData<string> Documents() =>
        [.. Directory.GetFiles(Source(), "*.md").Concat(Directory.GetFiles(Path.Combine(Source(), "docs"), "*.md"))
            .Select(path => Path.GetRelativePath(Source(), path)).Order()];

    [Theory]
    [MemberData(nameof(Documents))]
    public void Every_row_of_a_table_has_as_many_cells_as_its_head(string document)
    {
        string[] lines = File.ReadAllLines(Path.Combine(Source(), document));
        Assert.Empty(CrookedRows(lines));
    }

    [Fact]
    public void A_row_with_a_cell_more_is_seen() =>
        Assert.Equal([3], CrookedRows(["| a | b |", "| --- | --- |", "| 1 \\| 2 | 3 |", "| 1 | 2 | 3 |", "", "| a |"]));

    [Fact]
    public void No_merge_is_left_half_done()
    {
        string[] texts = [Path.Combine(
            Source(), "webvm"), .. Directory.GetFiles(Path.Combine(Source(), "scripts")),
            .. Documents().Select(row => Path.Combine(Source(), row.Data))];
        Assert.True(texts.Length > 20);
        Assert.DoesNotContain(texts, path => File.ReadLines(path).Any(line => ConflictMark().IsMatch(line)));
    }

    /// <summary>Indexes of the rows that have another number of cells than their table's head.</summary>
    private static List<int> CrookedRows(string[] lines)
    {
        var crooked = new List<int>();
        int head = 0;
        for (int line = 0; line < lines.Length; line++)
        {
            int bars = lines[line].StartsWith('|') ? Bar().Count(lines[line]) : 0;
            head = head == 0 ? bars : bars == 0 ? 0 : head;
            if (bars != head)
            {
                crooked.Add(line);
            }
        }

        return crooked;
    }

    /// <summary>A bar that parts cells: none that is escaped.</summary>
    [GeneratedRegex(@"(?<!\\)\|")]
    private static partial Regex Bar();

    [GeneratedRegex("^(<{7} |={7}$|>{7} )")]
    private static partial Regex ConflictMark();

    private static string Source()
    {
        string? folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "WebVm.sln")))
        {
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("The tests run outside the repository.");
        }

        return folder;
    }
}
