using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;
using Xunit;

namespace WebVm.Vmm.Tests.Confinement;

/// <summary>
/// What an attacker gets who executes in a monitor's place (outer wall), and who has taken over a monitor that put its own filter up (inner
/// wall), in each of the ways that a service runs: as root, as an ordinary account, in a container.
/// </summary>
public sealed class AttackTests
{
    /// <summary>By design: a monitor maps the memory for the code that it makes before its inner wall stands.</summary>
    private static readonly string[] s_open = ["make memory executable"];

    /// <summary>Bytes, of a machine with a gibibyte.</summary>
    private const string LargestFile = "1073741824";

    private static readonly (string Level, string[] Prefix, string[] Options)[] s_ways =
    [
        ("users", [], ["--user", "2000001"]),
        ("namespaces", AttackedHost.AsAccount, []),
        ("process", [.. AttackedHost.AsAccount, AttackerProgram.Role], []),
    ];

    [Theory]
    [InlineData("outer")]
    [InlineData("inner")]
    public async Task Nothing_is_reached_from_behind_a_wall(string wall)
    {
        SkipUnlessRoot();
        var outcomes = await AllAsync(wall);
        Assert.Empty(outcomes.Where(outcome => outcome.Value == "reached" && (wall == "inner" || !s_open.Contains(outcome.Key.Try)))
            .Select(outcome => $"{outcome.Key.Try} ({outcome.Key.Level})"));
    }

    [Fact]
    public async Task The_table_of_docs_security_is_what_happens()
    {
        SkipUnlessRoot();
        string[] page = await File.ReadAllLinesAsync(Path.Combine(Root(), "docs", "security.md"), TestContext.Current.CancellationToken);
        var outer = await AllAsync("outer");
        var inner = await AllAsync("inner");
        string[] rows = [.. Names()
            .Select(name =>
                $"| {name} | {string.Join(" | ", s_ways.Select(way => outer[(name, way.Level)]).Concat(s_ways.Select(way => inner[(name, way.Level)])))} |")];
        string[] written = [.. page.SkipWhile(line => !line.StartsWith("| try |", StringComparison.Ordinal)).Skip(2)
            .TakeWhile(line => line.StartsWith('|'))];
        Assert.Equal(rows, written);
    }

    /// <summary>Shows that the tries work: without walls, most of what an ordinary account may do is done.</summary>
    [Fact]
    public void Without_walls_the_same_tries_reach_what_they_are_after()
    {
        SkipUnlessRoot();
        using var host = new AttackedHost();
        string[] expected =
        [
            "read a secret of the service", "overwrite a file of the service", "make a file in a folder of everybody's",
            "plant a symbolic link", "list the host's root", "climb out of the root",
            "read /proc/self/mem", "execute a shell", "make a process", "signal another process", "signal by a descriptor",
            "lower another's limits", "make a process in a user namespace",
            "connect to a port of the host's loopback", "connect to a socket of the service", "connect to an abstract socket",
            "listen on a port", "handle page faults", "use the kernel's keys", "make memory executable",
        ];
        Assert.DoesNotContain(expected, name => Try(host, "none", AttackedHost.AsAccount, [], "outer", name) != "reached");
    }

    private static readonly ConcurrentDictionary<string, Lazy<Task<Dictionary<(string Try, string Level), string>>>> s_done = new();

    /// <summary>Each wall is tried once, for all tests.</summary>
    private static Task<Dictionary<(string Try, string Level), string>> AllAsync(string wall) =>
        s_done.GetOrAdd(wall, wall => new(() => Task.Run(() =>
    {
        using var host = new AttackedHost();
        Dictionary<(string, string), string> outcomes = [];
        foreach (var (level, prefix, options) in s_ways)
        {
            foreach (string name in Names())
            {
                outcomes[(name, level)] = Try(host, level, prefix, options, wall, name);
            }
        }

        return outcomes;
    }))).Value;

    private static string Try(AttackedHost host, string level, string[] prefix, string[] options, string wall, string name)
    {
        const int killedBySigsys = 128 + 31;
        string run = host.NewRun(root: prefix.Length == 0);
        using var keeper = AttackerProgram.Keep(
            run, level, prefix, [.. options, "--largest-file", LargestFile, "--file", $"handed={host.HandedFile}"],
            [wall, name, .. host.Facts]);
        keeper.WaitForExit();
        var (code, said) = AttackerProgram.Read(run);
        return code switch
        {
            killedBySigsys => "killed",
            _ when said.StartsWith("reached", StringComparison.Ordinal) => "reached",
            0 when said.StartsWith("errno ", StringComparison.Ordinal) =>
                ErrorName(int.Parse(said.AsSpan(6), System.Globalization.CultureInfo.InvariantCulture)),
            _ => $"ended with {code}: {said}",
        };
    }

    private static string ErrorName(int error) => error switch
    {
        1 => "EPERM",
        2 => "ENOENT",
        3 => "ESRCH",
        9 => "EBADF",
        13 => "EACCES",
        22 => "EINVAL",
        27 => "EFBIG",
        38 => "ENOSYS",
        _ => Marshal.GetPInvokeErrorMessage(error),
    };

    private static string[] Names()
    {
        using var attacker = Process.Start(new ProcessStartInfo(AttackerProgram.Path) { RedirectStandardOutput = true })!;
        string[] names = attacker.StandardOutput.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        attacker.WaitForExit();
        return names;
    }

    private static string Root()
    {
        string at = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(at, "WebVm.sln")))
        {
            at = Path.GetDirectoryName(at)!;
        }

        return at;
    }

    private static void SkipUnlessRoot() =>
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "playing root, an account and a container takes root");
}
