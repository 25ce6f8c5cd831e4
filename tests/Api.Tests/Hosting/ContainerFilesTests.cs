using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using WebVm.Api.Hosting;
using WebVm.Api.Settings;
using Xunit;

namespace WebVm.Api.Tests.Hosting;

/// <summary>Dockerfile, compose files and systemd unit name what is there: a rename elsewhere is found without an engine.</summary>
public sealed partial class ContainerFilesTests
{
    private static readonly string s_root = Checkout.Source();

    public static TheoryData<string> Files =>
        ["Dockerfile", "compose.yaml", "compose.kvm.yaml", "compose.isolated.yaml", "scripts/webvm.service"];

    [Theory]
    [MemberData(nameof(Files))]
    public void Every_setting_exists(string file)
    {
        string text = Read(file);
        var known = typeof(ServiceOptions).GetProperties().Select(property => property.Name.ToUpperInvariant())
            // Chosen by whoever runs compose, and the scripts' own.
            .Concat(Interpolation().Matches(text).Select(match => Flat(match.Groups[1].Value)))
            .Concat(Setting().Matches(Read("scripts/common.sh")).Select(match => Flat(match.Value)))
            .ToHashSet(StringComparer.Ordinal);
        var named = Setting().Matches(text);
        Assert.NotEmpty(named);
        Assert.All(named, match => Assert.Contains(Flat(match.Value), known));
    }

    [Fact]
    public void Every_copied_path_exists()
    {
        string text = Read("Dockerfile");
        var copied =
            Copy().Matches(text).Select(match => match.Groups[1].Value).Where(path => !path.StartsWith("--", StringComparison.Ordinal))
                .ToArray();
        Assert.NotEmpty(copied);
        Assert.All(copied, path => Assert.True(Path.Exists(Path.Combine(s_root, path)), path));
    }

    [Fact]
    public void The_programs_that_are_started_and_probed_are_the_published_ones()
    {
        string text = Read("Dockerfile");
        Assert.Contains("ENTRYPOINT [\"/opt/webvm/webvm\"]", text, StringComparison.Ordinal);
        Assert.Contains("CMD [\"/opt/webvm/webvm\", \"--health\"]", text, StringComparison.Ordinal);
        Assert.Contains("RUN ./webvm publish /published", text, StringComparison.Ordinal);
        Assert.Contains("COPY --from=build /published /opt/webvm", text, StringComparison.Ordinal);
        Assert.Contains("\nExecStart=/opt/webvm/webvm\n", Read("scripts/webvm.service"), StringComparison.Ordinal);
        Assert.Contains("<AssemblyName>webvm</AssemblyName>", Read("src/Web/Web.csproj"), StringComparison.Ordinal);
    }

    /// <summary>What is killed before its machines are shut down and its database is closed may lose what they had not written.</summary>
    [Fact]
    public void The_container_is_given_the_time_that_stopping_may_take()
    {
        double longest = new ServiceOptions().StopDeadlineSeconds + ServiceSetup.ClosingTime.TotalSeconds;
        Assert.True(Seconds(GracePeriod(), "compose.yaml") > longest);
        Assert.True(Seconds(StopTimeout(), "Dockerfile") > longest);
        Assert.Contains("WEBVM_KEEP_RUNNING=false", Read("Dockerfile"), StringComparison.Ordinal);
        Assert.True(Seconds(TimeoutStop(), "scripts/webvm.service") > longest);
    }

    /// <summary>Machines outlive the service, and the service each machine.</summary>
    [Fact]
    public void Systemd_stops_the_services_own_process_alone()
    {
        string unit = Read("scripts/webvm.service");
        Assert.Contains("\nKillMode=process\n", unit, StringComparison.Ordinal);
        Assert.Contains("\nOOMPolicy=continue\n", unit, StringComparison.Ordinal);
    }

    /// <summary>Monitors are kept in from inside: no container is opened for that.</summary>
    [Theory]
    [InlineData("compose.yaml")]
    [InlineData("compose.kvm.yaml")]
    [InlineData("compose.isolated.yaml")]
    public void No_container_is_opened(string file)
    {
        string text = Read(file);
        Assert.All(
            ["unconfined", "SYS_ADMIN", "privileged", "SYS_PTRACE", "pid: host"],
            word => Assert.DoesNotContain(word, text, StringComparison.Ordinal));
        string[] added = [.. AddedCapabilities().Matches(text)
            .SelectMany(match => match.Groups[1].Value.Split('\n', StringSplitOptions.RemoveEmptyEntries))
                .Select(line => line.Trim(' ', '-'))];
        Assert.Equal(file == "compose.isolated.yaml" ? ["SETUID", "SETGID", "KILL"] : [], added);
    }

    /// <summary>Machines share a uid there, so that none has a limit of its own.</summary>
    [Fact]
    public void Threads_of_the_container_are_bounded() => Assert.Matches(@"\n    pids_limit: [0-9]+\n", Read("compose.yaml"));

    [Fact]
    public async Task Systemd_understands_the_unit()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/systemd-analyze"), "systemd is not installed here.");
        string folder = Directory.CreateTempSubdirectory("webvm-unit-").FullName;
        try
        {
            // What it starts is looked for, and need not be installed here.
            string unit = Path.Combine(folder, "webvm.service");
            await File.WriteAllTextAsync(
                unit, Read("scripts/webvm.service").Replace("/opt/webvm/webvm\n", "/bin/true\n", StringComparison.Ordinal),
                Rest.Cancellation);
            using var verify = Process.Start(
                new ProcessStartInfo(
                    "/usr/bin/systemd-analyze", ["verify", "--recursive-errors=no", unit]) { RedirectStandardError = true })!;
            string complaints = await verify.StandardError.ReadToEndAsync(Rest.Cancellation);
            await verify.WaitForExitAsync(Rest.Cancellation);
            Assert.Equal("", complaints);
            Assert.Equal(0, verify.ExitCode);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static int Seconds(Regex pattern, string file) =>
        int.Parse(Assert.Single(pattern.Matches(Read(file))).Groups[1].Value, CultureInfo.InvariantCulture);

    private static string Flat(string variable) => variable["WEBVM_".Length..].Replace("_", "", StringComparison.Ordinal);

    private static string Read(string file) => File.ReadAllText(Path.Combine(s_root, file));

    [GeneratedRegex("WEBVM_[A-Z][A-Z_]*")]
    private static partial Regex Setting();

    [GeneratedRegex(@"\$\{(WEBVM_[A-Z_]+)")]
    private static partial Regex Interpolation();

    [GeneratedRegex(@"^COPY (\S+) \S+$", RegexOptions.Multiline)]
    private static partial Regex Copy();

    [GeneratedRegex(@"stop_grace_period: (\d+)s")]
    private static partial Regex GracePeriod();

    [GeneratedRegex(@"cap_add:\n((?: +- [A-Z_]+\n)+)")]
    private static partial Regex AddedCapabilities();

    [GeneratedRegex(@"TimeoutStopSec=(\d+)s")]
    private static partial Regex TimeoutStop();

    [GeneratedRegex(@"--stop-timeout (\d+)")]
    private static partial Regex StopTimeout();
}
