using System.Diagnostics;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Options;
using WebVm.Api.Hosting;

namespace WebVm.Api.Supervisor;

/// <summary>
/// Starts monitors: each in a session of its own, without privileges, with limits, and with a shell around it that writes down how it
/// ended even when the service is not there to see it.
/// </summary>
public sealed class MonitorLauncher(IOptions<ServiceOptions> options)
{
    private const int MostOpenFiles = 4096;

    // The account that has no files (Debian's base-passwd).
    private const string UnprivilegedAccount = "nobody";

    // The lock's descriptor is inherited by the monitor. A run begins once: a second shell leaves, and so does one whose folder is gone.
    // Whoever looks whether the run is alive holds the lock for an instant, which is waited for. The place for the exit code is taken before
    // the monitor starts: a disk that is full at its end does not make a vanished monitor of it.
    private const string Wrapper =
        """
        exec 9>>lock && flock -w 5 9 && [ ! -e session ] && echo "      " >exit.new && echo $$ >session || exit 75
        "$@" >>monitor.log 2>&1 </dev/null
        echo $? 1<>exit.new && mv exit.new exit
        """;

    private readonly string _program = options.Value.Monitor ?? Path.Combine(AppContext.BaseDirectory, "webvm-vmm");

    /// <summary>Starts the monitor of a run whose spec is in place. Harmless when it runs already.</summary>
    public void Launch(RunDirectory run, IEnumerable<string> arguments)
    {
        List<string> command = ["prlimit", "--core=0", $"--nofile={MostOpenFiles}", "--", "setpriv", "--no-new-privs"];
        if (Environment.IsPrivilegedProcess)
        {
            MakeAccessible(run);
            command.AddRange(["--reuid", UnprivilegedAccount, "--regid", "nogroup", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]);
        }

        command.AddRange(["sh", "-c", Wrapper, "webvm-run", _program, .. arguments]);
        var start = new ProcessStartInfo("setsid", command)
        {
            WorkingDirectory = run.Path,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        // The service's settings, tokens among them, are not the monitor's business.
        foreach (string name in start.Environment.Keys.Where(name => name.StartsWith("WEBVM_", StringComparison.Ordinal)).ToArray())
        {
            start.Environment.Remove(name);
        }

        // Nor does anybody debug it from outside: no diagnostics socket, which a killed monitor would leave behind.
        start.Environment["DOTNET_EnableDiagnostics"] = "0";
        using var process = Process.Start(start) ?? throw new InvalidOperationException("setsid could not be started.");
    }

    /// <summary>Ends everything that a run started, at once.</summary>
    public static void Kill(RunDirectory run)
    {
        if (run.ReadSession() is { } session && run.IsAlive())
        {
            using var kill = Process.Start(new ProcessStartInfo("kill", ["-KILL", "--", $"-{session}"]) { RedirectStandardError = true });
            kill?.WaitForExit();
        }
    }

    private static void MakeAccessible(RunDirectory run)
    {
        using var chown = Process.Start(new ProcessStartInfo("chown", ["-R", $"{UnprivilegedAccount}:nogroup", run.Path]))!;
        chown.WaitForExit();
        if (chown.ExitCode != 0)
        {
            throw new ExternalException($"chown of {run.Path} failed.");
        }
    }
}
