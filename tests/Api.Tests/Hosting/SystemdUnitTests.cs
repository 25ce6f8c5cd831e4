using System.Diagnostics;
using System.Text.RegularExpressions;
using Xunit;

namespace WebVm.Api.Tests.Hosting;

/// <summary>The systemd unit lets the keeper build its walls, by the sets of system calls of systemd 252 (Debian 12).</summary>
public sealed partial class SystemdUnitTests
{
    private static readonly string s_root = Checkout.Source();
    private static readonly Dictionary<string, string[]> s_sets =
        File.ReadLines(Path.Combine(s_root, "tests", "Api.Tests", "systemd-252-system-call-sets.txt"))
        .Where(line => line.StartsWith('@')).Select(line => line.Split(' ')).ToDictionary(words => words[0], words => words[1..]);

    [Fact]
    public void Every_call_of_the_keeper_and_of_its_filters_is_allowed()
    {
        var allowed = Allowed();
        var wanted = Directory.GetFiles(Path.Combine(s_root, "src", "Vmm", "Confinement"), "*.cs", SearchOption.AllDirectories)
            .SelectMany(file => Call().Matches(File.ReadAllText(file)).Select(match => match.Groups[1].Value))
                .ToHashSet(StringComparer.Ordinal);
        Assert.Superset(new HashSet<string> { "clone", "pivot_root", "landlock_restrict_self", "seccomp", "execveat" }, wanted);
        Assert.Empty(wanted.Except(allowed).Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData("user")]
    [InlineData("mnt")]
    [InlineData("pid")]
    [InlineData("net")]
    [InlineData("ipc")]
    [InlineData("uts")]
    public void Every_namespace_of_a_monitor_is_allowed(string kind) => Assert.Contains(kind, Settings("RestrictNamespaces"));

    /// <summary>
    /// ProtectHostname= refuses sethostname(2), PrivateUsers= a user namespace's map; a monitor's code is made at run time.
    /// </summary>
    [Theory]
    [InlineData("ProtectHostname")]
    [InlineData("PrivateUsers")]
    [InlineData("MemoryDenyWriteExecute")]
    public void What_would_break_the_walls_is_not_set(string setting) => Assert.Empty(Settings(setting));

    [Fact]
    public void Nothing_is_given_beyond_what_the_walls_are_made_of()
    {
        Assert.Equal([""], Settings("CapabilityBoundingSet"));
        Assert.Equal(["yes"], Settings("NoNewPrivileges"));
        Assert.Equal(["0077"], Settings("UMask"));
        var allowed = Allowed();
        Assert.Empty(
            allowed.Intersect(
                ["ptrace", "process_vm_readv", "process_vm_writev", "init_module", "bpf", "perf_event_open", "kexec_load", "reboot",
                    "swapon", "open_by_handle_at"]));
    }

    [Fact]
    public async Task The_sets_are_those_of_systemd_252()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/systemd-analyze"), "systemd is not installed here.");
        Assert.SkipUnless(
            (await RunAsync("--version")).StartsWith("systemd 252 ", StringComparison.Ordinal), "Another systemd is installed here.");
        foreach (var (set, calls) in s_sets)
        {
            var printed =
                (await RunAsync("syscall-filter", set)).Split('\n').Where(line => line.StartsWith("    ", StringComparison.Ordinal))
                    .Select(line => line.Trim()).Where(line => !line.StartsWith('#'));
            Assert.Equal(printed, calls);
        }
    }

    /// <summary>Lines add to each other; one that begins with "~" takes away (systemd.exec(5)).</summary>
    private static HashSet<string> Allowed()
    {
        var allowed = new HashSet<string>(StringComparer.Ordinal);
        foreach (string line in Lines("SystemCallFilter"))
        {
            var calls = line.TrimStart('~').Split(' ').SelectMany(Calls);
            if (line.StartsWith('~'))
            {
                allowed.ExceptWith(calls);
            }
            else
            {
                allowed.UnionWith(calls);
            }
        }

        return allowed;
    }

    [Fact]
    public void No_folder_of_users_gets_user_namespaces_by_the_profile_for_app_armor()
    {
        string profile = File.ReadLines(Path.Combine(s_root, "scripts", "webvm.apparmor"))
            .Single(line => line.StartsWith("profile ", StringComparison.Ordinal));
        Assert.Equal("/opt/webvm/monitors/*/webvm-vmm", profile.Split(' ')[2]);
    }

    private static IEnumerable<string> Calls(string name) => name.StartsWith('@') ? s_sets[name].SelectMany(Calls) : [name];

    /// <summary>The words of a setting, over all its lines.</summary>
    private static string[] Settings(string name) => [.. Lines(name).SelectMany(line => line.Split(' '))];

    private static IEnumerable<string> Lines(string name) => File.ReadLines(Path.Combine(s_root, "scripts", "webvm.service"))
        .Where(line => line.StartsWith(name + "=", StringComparison.Ordinal)).Select(line => line[(name.Length + 1)..]);

    private static async Task<string> RunAsync(params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo("/usr/bin/systemd-analyze", arguments) { RedirectStandardOutput = true })!;
        string output = await process.StandardOutput.ReadToEndAsync(Rest.Cancellation);
        await process.WaitForExitAsync(Rest.Cancellation);
        return output;
    }

    [GeneratedRegex(@"\bSYS_([a-z0-9_]+)")]
    private static partial Regex Call();
}
