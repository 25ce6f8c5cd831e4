using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Supervisor;

/// <summary>How a run ended, as far as the VM's next state depends on it.</summary>
/// <param name="Crashed">The guest or its monitor failed, so that the restart policy applies.</param>
/// <param name="Hopeless">Starting again would end the same way.</param>
/// <param name="Reason">In the words of the monitor; users read it by way of <see cref="Hosting.HostPaths"/>.</param>
internal readonly record struct RunEnd(bool Crashed, bool Hopeless, string Reason)
{
    /// <summary>Even, so that no debug exit gives it.</summary>
    private const int GuestCrash = 6;
    private const int HostFailure = 4;
    private const int BadInput = 2;
    private const int FirstSignal = 128;

    // SIGTERM, signal(7): what a host that shuts down sends to all that still runs.
    private const int AskedToEnd = FirstSignal + 15;

    // SIGSYS, signal(7): the answer of a system call filter.
    private const int ForbiddenCall = FirstSignal + 31;

    private static readonly TimeSpan StableAfter = TimeSpan.FromMinutes(10);

    /// <summary>From the monitor's exit code (docs/architecture.md) and its last words; null when it vanished.</summary>
    public static RunEnd From(int? exitCode, string log) => exitCode switch
    {
        null => new(true, false, "The monitor vanished."),
        0 => new(false, false, "The guest powered off."),
        BadInput => new(true, true, WithLog("The machine could not be built", log)),
        GuestCrash => new(true, false, Crash(log)),
        HostFailure => new(true, false, WithLog("The host failed the machine", log)),
        ForbiddenCall => new(true, false, "The monitor made a forbidden system call."),
        AskedToEnd => new(true, false, "The monitor was asked to end, as by a host that shuts down."),
        > FirstSignal => new(true, false, $"The monitor was killed by signal {exitCode - FirstSignal}."),
        _ when (exitCode & 1) == 1 => new(false, false, $"The guest ended with code {exitCode} through its debug-exit port."),
        _ => new(true, false, WithLog($"The monitor ended with code {exitCode}", log)),
    };

    /// <summary>From a keeper that left without a monitor.</summary>
    public static RunEnd Of(KeeperFailure failure) => new(true, failure.ExitCode == BadInput, WithLog("The monitor could not be started", failure.Complaint));

    /// <summary>Seconds to wait before restart number <paramref name="count"/>: 1, 2, 4, … at most 300.</summary>
    public static TimeSpan BackOff(int count) => TimeSpan.FromSeconds(Math.Min(300, Math.Pow(2, Math.Min(count, 16))));

    /// <summary>Whether a machine that started then has run for so long that its end has nothing to do with those before: the pauses begin anew.</summary>
    public static bool WasStable(DateTimeOffset? startedAt) => DateTimeOffset.UtcNow - startedAt > StableAfter;

    public bool ShouldRestart(RestartPolicy policy) => !Hopeless && (policy == RestartPolicy.Always || (policy == RestartPolicy.OnFailure && Crashed));

    /// <summary>The monitor's last word says how; a guest cannot write there.</summary>
    private static string Crash(string log)
    {
        const string mark = "the guest crashed: ";
        int at = log.LastIndexOf(mark, StringComparison.Ordinal);
        return at < 0 ? "The guest crashed." : $"The guest crashed: {log[(at + mark.Length)..].Split('\n')[0].Trim()}.";
    }

    private static string WithLog(string what, string log) => log.Length == 0 ? what + "." : $"{what}: {log}";
}
