using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using WebVm.Api.Persistence.Entities;
using WebVm.Api.Settings;

namespace WebVm.Api.Runs;

/// <summary>
/// A control group for each monitor, where the service has one that it may divide (cgroups(7), version 2; systemd's Delegate=): all that
/// ever came of a monitor is in it, is counted there, and ends with it. In the service's own group no controllers are enabled: a group with
/// controllers takes no processes of its own, and systemd has to start the next service in this one. In a group that is named, and holds
/// nothing else, a monitor's threads are bounded.
/// </summary>
public sealed partial class ControlGroups(IOptions<ServiceOptions> options, ILogger<ControlGroups> log)
{
    private const string Prefix = "webvm-";
    private const string Hierarchy = "/sys/fs/cgroup";
    private const int RemoveTries = 20;
    private static readonly TimeSpan RemovePause = TimeSpan.FromMilliseconds(5);

    private readonly string? _own = options.Value.ControlGroup switch
    {
        "none" => null,
        { Length: > 0 } folder => WithThreadsCounted(folder),
        _ => Delegated(),
    };

    /// <summary>What monitors are kept by here, these groups included.</summary>
    public Isolation Complete(Isolation walls) =>
        _own is null || walls.Level == Isolation.None ? walls : walls with { Walls = [.. walls.Walls, Isolation.Group] };

    /// <summary>Makes the run's group.</summary>
    /// <returns>Its folder; null where there is none to be had.</returns>
    public string? Make(RunDirectory run)
    {
        if (Folder(run) is not { } folder)
        {
            return null;
        }

        try
        {
            return Directory.CreateDirectory(folder).FullName;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            LogNotMade(log, failure.Message);
            return null;
        }
    }

    /// <summary>Ends whatever is left in the run's group, and removes it.</summary>
    public async Task EndAsync(RunDirectory run)
    {
        if (Folder(run) is not { } folder || !Directory.Exists(folder))
        {
            return;
        }

        for (int attempt = 1; ; attempt++)
        {
            try
            {
                string kill = Path.Combine(folder, "cgroup.kill");
                if (File.Exists(kill))
                {
                    await File.WriteAllTextAsync(kill, "1");
                }

                Directory.Delete(folder);
                return;
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
            {
                // What was killed is in its group until it is reaped.
                if (attempt == RemoveTries)
                {
                    LogNotRemoved(log, failure.Message);
                    return;
                }

                await Task.Delay(RemovePause);
            }
        }
    }

    /// <summary>
    /// The group that a process is in by its /proc/PID/cgroup, if this account may move processes in it: that is what delegation is. Null
    /// otherwise.
    /// </summary>
    internal static string? Delegated(string groups, string hierarchy)
    {
        string? path = groups.Split('\n').FirstOrDefault(line => line.StartsWith("0::/", StringComparison.Ordinal))?[4..];
        if (path is null)
        {
            return null;
        }

        string folder = Path.Combine(hierarchy, path);
        try
        {
            using var processes = new FileStream(Path.Combine(folder, "cgroup.procs"), FileMode.Open, FileAccess.Write);
            return folder;
        }
        catch (Exception refused) when (refused is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    // Root may write to all groups, and to be let is to be given only for others.
    private static string? Delegated() =>
        !Environment.IsPrivilegedProcess && File.Exists("/proc/self/cgroup")
            ? Delegated(File.ReadAllText("/proc/self/cgroup"), Hierarchy)
            : null;

    /// <summary>
    /// Has the groups below bound their threads, for which keepers set the limit. That the host has no such controller is no failure.
    /// </summary>
    private static string WithThreadsCounted(string folder)
    {
        try
        {
            File.WriteAllText(Path.Combine(folder, "cgroup.subtree_control"), "+pids");
        }
        catch (Exception refused) when (refused is IOException or UnauthorizedAccessException)
        {
            // Version 1, another's, or not empty.
        }

        return folder;
    }

    private string? Folder(RunDirectory run) => _own is null ? null : Path.Combine(_own, Prefix + Path.GetFileName(run.Path));

    [LoggerMessage(Level = LogLevel.Warning, Message = "A monitor is started without a control group of its own: {Reason}")]
    private static partial void LogNotMade(ILogger log, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The control group of a run that ended is still there: {Reason}")]
    private static partial void LogNotRemoved(ILogger log, string reason);
}
