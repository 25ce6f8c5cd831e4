using System.Diagnostics;

namespace WebVm.Api.Tests;

/// <summary>
/// A folder with the scripts of this checkout, a source of the monitor, and a built monitor of a few bytes. Programs that the scripts call
/// may be stood in for; the script that is run is killed with all that it started when a test says so.
/// </summary>
internal sealed class Checkout : IDisposable
{
    private readonly string _programs;

    public Checkout()
    {
        Root = Directory.CreateTempSubdirectory("webvm-checkout-").FullName;
        _programs = Directory.CreateDirectory(Path.Combine(Root, "stand-ins")).FullName;
        string source = Source();
        File.Copy(Path.Combine(source, "webvm"), Path.Combine(Root, "webvm"));
        Directory.CreateDirectory(Path.Combine(Root, "scripts"));
        foreach (string script in Directory.GetFiles(Path.Combine(source, "scripts"), "*.sh"))
        {
            File.Copy(script, Path.Combine(Root, "scripts", Path.GetFileName(script)));
        }

        Directory.CreateDirectory(Built);
        File.WriteAllText(Path.Combine(Root, "Directory.Build.props"), "<Project />");
        // A program that can be left running.
        File.Copy("/bin/sleep", Path.Combine(Built, "webvm-vmm"));
        File.WriteAllText(Path.Combine(Built, "webvm-vmm.runtimeconfig.json"), "{}");
        File.WriteAllText(Path.Combine(Built, "webvm-vmm.dll"), "built");
        Change("first");
    }

    public string Root { get; }

    /// <summary>Where services of the checkout get their monitor from.</summary>
    public string Installed => Path.Combine(Root, "src/Vmm/bin/installed");

    /// <summary>Where builds put the monitor.</summary>
    public string Built => Path.Combine(Root, "src/Vmm/bin/Release/net10.0");

    /// <summary>One line for each call of a stand-in that keeps count.</summary>
    public int Calls => File.Exists(Path.Combine(Root, "calls")) ? File.ReadAllLines(Path.Combine(Root, "calls")).Length : 0;

    /// <summary>The monitor's source.</summary>
    public string Program => Path.Combine(Root, "src/Vmm/Program.cs");

    public void Change(string content) => File.WriteAllText(Program, content);

    /// <summary>Puts a script in front of a program of that name.</summary>
    public void StandIn(string program, string script)
    {
        string path = Path.Combine(_programs, program);
        File.WriteAllText(path, "#!/bin/bash\nset -eu\n" + script);
        File.SetUnixFileMode(path, (UnixFileMode)Convert.ToInt32("755", 8));
    }

    public void StandInNoMore(string program) => File.Delete(Path.Combine(_programs, program));

    /// <summary>
    /// An SDK that publishes a program with the source as its symbols, or the ordinary build where that is asked for, and counts.
    /// </summary>
    /// <param name="failing">Part of the options with which it fails.</param>
    public void StandInForTheSdk(string failing = "none") => StandIn("dotnet", $"""
        [[ $1 == publish ]] || exec echo 10.0.100
        echo "$2" >>{Root}/calls
        [[ "$*" != *{failing}* ]] || exec false
        ordinary=yes
        [[ "$*" != *PublishAot=true* ]] || ordinary=
        while [[ $# -gt 0 ]]; do
            case $1 in
                --artifacts-path) to=$2/publish/Vmm/release_linux-x64 ;;
                -o) to=$2 ;;
            esac
            shift
        done
        mkdir -p "$to"
        if [[ $ordinary ]]; then
            /bin/cp {Built}/* "$to/"
        else
            /bin/cp /bin/sleep "$to/webvm-vmm"
            /bin/cp {Program} "$to/webvm-vmm.dbg"
        fi
        """);

    /// <summary>Installs the monitor. Returns how the script ended, and what it said: last the monitor's program.</summary>
    public Task<(int ExitCode, string[] Said)> InstallAsync() =>
        RunAsync(["bash", "-c", "set -euo pipefail; . scripts/common.sh; install_monitor \"$0\"; echo \"$monitor\"", Installed]);

    public Task<(int ExitCode, string[] Said)> WebVmAsync(params string[] arguments) => RunAsync(["bash", "webvm", .. arguments]);

    public void Dispose() => Directory.Delete(Root, recursive: true);

    private async Task<(int ExitCode, string[] Said)> RunAsync(string[] command)
    {
        // A session of its own, so that a stand-in can kill all of it.
        var start = new ProcessStartInfo(
            "setsid", ["--wait", .. command]) { WorkingDirectory = Root, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["PATH"] = $"{_programs}:{start.Environment["PATH"]}";
        start.Environment["WEBVM_ROOT"] = Root;
        start.Environment["WEBVM_CACHE"] = Path.Combine(Root, "cache");
        start.Environment.Remove("WEBVM_MONITOR");
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync(Rest.Cancellation);
        string output = await process.StandardOutput.ReadToEndAsync(Rest.Cancellation);
        await process.WaitForExitAsync(Rest.Cancellation);
        return (process.ExitCode, (await errors + output).Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }

    /// <summary>The checkout that the tests run in.</summary>
    public static string Source()
    {
        string? folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "WebVm.sln")))
        {
            folder = Path.GetDirectoryName(folder) ?? throw new InvalidOperationException("The tests run outside the repository.");
        }

        return folder;
    }
}
