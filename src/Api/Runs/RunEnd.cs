using WebVm.Api.Persistence.Entities;
using WebVm.Api.Settings;

namespace WebVm.Api.Runs;

/// <summary>How a run ended, as far as the VM's next state depends on it.</summary>
/// <param name="Crashed">The guest or its monitor failed, so that the restart policy applies.</param>
/// <param name="Hopeless">Starting again would end the same way.</param>
/// <param name="Reason">In the words of the monitor; users read it by way of <see cref="Settings.HostPaths"/>.</param>
internal readonly record struct RunEnd(bool Crashed, bool Hopeless, string Reason)
{
    /// <summary>Even, so that no debug exit gives it.</summary>
    private const int GuestCrash = 6;
    private const int HostFailure = 4;
    private const int BadInput = 2;
    private const int FirstSignal = 128;

    // SIGTERM, signal(7): what a host that shuts down sends to all that still runs.
    private const int AskedToEnd = FirstSignal + 15;

    // SIGXFSZ, signal(7): the answer of RLIMIT_FSIZE.
    private const int TooLargeFile = FirstSignal + 25;

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
        TooLargeFile => new(true, false, "The monitor made a file larger than it may be."),
        AskedToEnd => new(true, false, "The monitor was asked to end, as by a host that shuts down."),
        > FirstSignal => new(true, false, $"The monitor was killed by signal {exitCode - FirstSignal}."),
        _ when (exitCode & 1) == 1 => new(false, false, $"The guest ended with code {exitCode} through its debug-exit port."),
        _ => new(true, false, WithLog($"The monitor ended with code {exitCode}", log)),
    };

    /// <summary>From a keeper that left without a monitor.</summary>
    public static RunEnd Of(KeeperFailure failure) =>
        new(true, failure.ExitCode == BadInput, WithLog("The monitor could not be started", failure.Complaint));

    /// <summary>Seconds to wait before restart number <paramref name="count"/>: 1, 2, 4, … at most 300.</summary>
    public static TimeSpan BackOff(int count) => TimeSpan.FromSeconds(Math.Min(300, Math.Pow(2, Math.Min(count, 16))));

    /// <summary>
    /// Whether a machine that started then has run for so long that its end has nothing to do with those before: the pauses begin anew.
    /// </summary>
    public static bool WasStable(DateTimeOffset? startedAt) => DateTimeOffset.UtcNow - startedAt > StableAfter;

    public bool ShouldRestart(RestartPolicy policy) =>
        !Hopeless && (policy == RestartPolicy.Always || (policy == RestartPolicy.OnFailure && Crashed));

    /// <summary>What becomes of a VM whose run has ended.</summary>
    /// <param name="vm">As it is now.</param>
    /// <param name="generation">The command that the run obeyed. After a later one the VM goes on as that one says.</param>
    /// <param name="hasState">Whether there is a saved state that it could go on from.</param>
    public (ObservedPower Seen, string? Reason) Conclude(Vm vm, long generation, bool hasState)
    {
        if (vm.Desired == DesiredPower.Off || vm.Deleting)
        {
            return (ObservedPower.Off, null);
        }

        // Killed between saving and stopping, the service before this one left a complete state and a run that has ended.
        if (vm.Desired == DesiredPower.Saved && hasState)
        {
            return (ObservedPower.Saved, null);
        }

        if (ShouldRestart(vm.Configuration.Restart))
        {
            int before = WasStable(vm.StartedAt) ? 0 : vm.RestartCount;
            vm.RestartCount = before + 1;
            vm.RestartAt = DateTimeOffset.UtcNow + (Crashed ? BackOff(before) : TimeSpan.FromSeconds(1));
        }
        else if (vm.DesiredGeneration == generation)
        {
            // A state that could not be gone on from is not lost by trying.
            bool kept = hasState && vm.StartedAt is null;
            vm.Desired = kept ? DesiredPower.Saved : DesiredPower.Off;
            if (kept)
            {
                return (ObservedPower.Saved, Reason);
            }
        }

        return (Hopeless ? ObservedPower.Failed : Crashed ? ObservedPower.Crashed : ObservedPower.Off, Reason);
    }

    /// <summary>The monitor's last word says how; a guest cannot write there.</summary>
    private static string Crash(string log)
    {
        const string mark = "the guest crashed: ";
        int at = log.LastIndexOf(mark, StringComparison.Ordinal);
        return at < 0 ? "The guest crashed." : $"The guest crashed: {log[(at + mark.Length)..].Split('\n')[0].Trim()}.";
    }

    private static string WithLog(string what, string log) => log.Length == 0 ? what + "." : $"{what}: {log}";
}
