using System.Text.RegularExpressions;
using Xunit;

namespace WebVm.Vmm.Tests.Architecture;

/// <summary>How much of a file one has to take in at once: so many lines, so many columns (.editorconfig).</summary>
public sealed partial class CodeShapeTests
{
    private const int MostLines = 500;
    private const int MostColumns = 140;

    private static readonly string[] s_generated = ["bin", "obj", "node_modules"];

    private static readonly IReadOnlyList<string> s_files = [.. new[] { "src", "tests", "migrations" }
        .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(Repository.Root, folder), "*.cs", SearchOption.AllDirectories))
        .Where(file => !Path.GetRelativePath(Repository.Root, file).Split(Path.DirectorySeparatorChar).Intersect(s_generated).Any())];

    [Fact]
    public void A_file_is_read_at_one_sitting() =>
        Assert.Empty(
            s_files.Where(file => File.ReadLines(file).Count() > MostLines).Select(file => Path.GetRelativePath(Repository.Root, file)));

    /// <summary>What is text to somebody else, such as messages and statements of SQL, may go on beyond.</summary>
    [Fact]
    public void A_line_is_seen_whole()
    {
        Assert.Equal("x = \"\";".Length, LongestOf("x = \"a text that goes on\";", raw: false));
        Assert.Empty(s_files.SelectMany(LongLines));
    }

    private static IEnumerable<string> LongLines(string file)
    {
        bool raw = false;
        int number = 0;
        foreach (string line in File.ReadLines(file))
        {
            number++;
            bool within = raw;
            raw ^= int.IsOddInteger(RawQuotes().Count(line));
            if (line.Length > MostColumns && LongestOf(line, within || raw) > MostColumns)
            {
                yield return $"{Path.GetRelativePath(Repository.Root, file)}:{number} has {line.Length} columns";
            }
        }
    }

    /// <summary>Columns that a line has without what stands in quotation marks.</summary>
    private static int LongestOf(string line, bool raw) => raw ? 0 : Quoted().Replace(line, "\"\"").Length;

    [GeneratedRegex("\"{3,}")]
    private static partial Regex RawQuotes();

    [GeneratedRegex("\"{3}.*\"{3}|\"(?:[^\"\\\\]|\\\\.)*\"")]
    private static partial Regex Quoted();
}
