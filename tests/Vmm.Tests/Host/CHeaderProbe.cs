using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace WebVm.Vmm.Tests.Host;

/// <summary>Compiles C expressions against the real headers with gcc and compares their values with what C# has.</summary>
internal sealed class CHeaderProbe
{
    private readonly SortedSet<string> _headers = ["stddef.h", "stdio.h"];
    private readonly List<(string Expression, long Value)> _expected = [];

    public void Include(params string[] headers) => _headers.UnionWith(headers);

    public void Expect(string expression, long value) => _expected.Add((expression, value));

    /// <summary>One line per expression whose value differs.</summary>
    public IReadOnlyList<string> Differences()
    {
        var source = new StringBuilder("#define _GNU_SOURCE 1\n");
        foreach (string header in _headers)
        {
            source.Append(CultureInfo.InvariantCulture, $"#include <{header}>\n");
        }

        source.Append("int main(void) {\n");
        foreach (var (expression, value) in _expected)
        {
            source.Append(CultureInfo.InvariantCulture, $"printf(\"%lld\\n\", (long long)({expression}));\n");
        }

        source.Append("return 0; }\n");
        string[] values = Run(source.ToString()).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        return [.. _expected.Zip(values.Select(value => long.Parse(value, CultureInfo.InvariantCulture)))
            .Where(pair => !Same(pair.First.Value, pair.Second))
            .Select(pair => $"{pair.First.Expression}: {pair.First.Value} in C#, {pair.Second} in C")];
    }

    // A C constant with bit 31 set is an int in some headers and unsigned in others; its 32 bits count.
    private static bool Same(long left, long right) =>
        left == right || ((uint)left == (uint)right && left >> 32 is 0 or -1 && right >> 32 is 0 or -1);

    private static string Run(string source)
    {
        var directory = Directory.CreateTempSubdirectory("webvm-abi-");
        try
        {
            string program = Path.Combine(directory.FullName, "probe");
            File.WriteAllText(program + ".c", source);
            Start("gcc", "-w", "-o", program, program + ".c");
            return Start(program);
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    private static string Start(string program, params string[] arguments)
    {
        using var process = Process.Start(
            new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? output : throw new InvalidOperationException($"{program} failed: {errors.Result}");
    }
}
