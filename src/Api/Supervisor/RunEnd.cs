using System.Text.RegularExpressions;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Supervisor;

/// <summary>How a run ended, as far as the VM's next state depends on it.</summary>
/// <param name="Crashed">The guest or its monitor failed, so that the restart policy applies.</param>
/// <param name="Hopeless">Starting again would end the same way.</param>
internal readonly partial record struct RunEnd(bool Crashed, bool Hopeless, string Reason)
{
    private const int GuestCrash = 3;
    private const int HostFailure = 4;
    private const int BadInput = 2;
    private const int FirstSignal = 128;

    private static readonly TimeSpan StableAfter = TimeSpan.FromMinutes(10);

    /// <summary>From the monitor's exit code (docs/architecture.md) and its last words; null when it vanished.</summary>
    public static RunEnd From(int? exitCode, string log) => exitCode switch
    {
        null => new(true, false, "The monitor vanished."),
        0 => new(false, false, "The guest powered off."),
        BadInput => new(true, true, WithLog("The machine could not be built", log)),
        GuestCrash => new(true, false, "The guest crashed."),
        HostFailure => new(true, false, WithLog("The host failed the machine", log)),
        > FirstSignal => new(true, false, $"The monitor was killed by signal {exitCode - FirstSignal}."),
        _ when (exitCode & 1) == 1 => new(false, false, $"The guest ended with code {exitCode} through its debug-exit port."),
        _ => new(true, false, WithLog($"The monitor ended with code {exitCode}", log)),
    };

    /// <summary>Seconds to wait before restart number <paramref name="count"/>: 1, 2, 4, … at most 300.</summary>
    public static TimeSpan BackOff(int count) => TimeSpan.FromSeconds(Math.Min(300, Math.Pow(2, Math.Min(count, 16))));

    /// <summary>Whether a machine that started then has run for so long that its end has nothing to do with those before: the pauses begin anew.</summary>
    public static bool WasStable(DateTimeOffset? startedAt) => DateTimeOffset.UtcNow - startedAt > StableAfter;

    public bool ShouldRestart(RestartPolicy policy) => !Hopeless && (policy == RestartPolicy.Always || (policy == RestartPolicy.OnFailure && Crashed));

    /// <summary>The log is written for administrators; what a user reads has neither the program's name nor where images lie on the host.</summary>
    private static string WithLog(string what, string log) => log.Length == 0 ? what + "." : $"{what}: {ImageFile().Replace(ProgramName().Replace(log, ""), "its image")}";

    [GeneratedRegex("^webvm-vmm: ", RegexOptions.Multiline)]
    private static partial Regex ProgramName();

    [GeneratedRegex(@"(?<=^|\s)/\S*/images/[0-9a-f]{32}/\w+")]
    private static partial Regex ImageFile();
}
