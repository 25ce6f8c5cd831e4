using System.Globalization;
using WebVm.Vmm.Host;

namespace WebVm.Api.Runs;

/// <summary>
/// The processes of a run that live, each held by a descriptor. They are found anew whenever they are wanted, also by the service after the
/// one that started them: number, start and boot of the keeper's record are compared while the process is held, so that whoever has
/// inherited a number is left alone.
/// </summary>
internal sealed class RunProcesses : IDisposable
{
    private readonly ProcessHandle[] _monitors;
    private readonly ProcessHandle? _keeper;

    private RunProcesses(ProcessHandle[] monitors, ProcessHandle? keeper)
    {
        _monitors = monitors;
        _keeper = keeper;
    }

    public bool AreAlive => _keeper is { HasEnded: false } || _monitors.Any(monitor => !monitor.HasEnded);

    public static RunProcesses Of(RunDirectory run)
    {
        if (run.ReadRecord() is not { } record)
        {
            return run.IsOfOlderBuild ? new RunProcesses(OlderRun.Find(run), null) : new RunProcesses([], null);
        }

        if (record.Boot != HostBoot.Id)
        {
            return new RunProcesses([], null);
        }

        var keeper = ProcessHandle.TryOpen(record.Keeper.Id, record.Keeper.Start);
        return new RunProcesses(ProcessHandle.TryOpen(record.Monitor.Id, record.Monitor.Start) is { } monitor ? [monitor] : [], keeper);
    }

    /// <summary>
    /// The process that executes the guest, to be looked at and never to be signalled: where the first process of a PID namespace is
    /// recorded, its child (/proc/PID/task/TID/children, proc(5)). What a monitor says of itself does not count, and is a number of its
    /// namespace.
    /// </summary>
    public int? MonitorId
    {
        get
        {
            if (_monitors is not [var first, ..])
            {
                return null;
            }

            try
            {
                string children = File.ReadAllText(
                    string.Create(CultureInfo.InvariantCulture, $"/proc/{first.ProcessId}/task/{first.ProcessId}/children"));
                int? id = int.TryParse(children.Split(' ')[0], NumberStyles.None, CultureInfo.InvariantCulture, out int child)
                    ? child
                    : first.ProcessId;
                return first.HasEnded ? null : id;
            }
            catch (IOException)
            {
                return first.HasEnded ? null : first.ProcessId;
            }
        }
    }

    /// <summary>Ends the monitor at once. Its keeper writes down how it ended, and leaves.</summary>
    public void KillMonitor()
    {
        foreach (var monitor in _monitors)
        {
            monitor.Kill();
        }
    }

    /// <summary>Ends the keeper too.</summary>
    public void KillAll()
    {
        KillMonitor();
        _keeper?.Kill();
    }

    public void Dispose()
    {
        _keeper?.Dispose();
        foreach (var monitor in _monitors)
        {
            monitor.Dispose();
        }
    }
}

/// <summary>
/// Runs of builds before the keeper: a shell around the monitor, both of the account "nobody" where the service is root, in a folder of
/// their own. What the folder says is theirs to write, so that no number in it counts: their processes are those that have the folder's
/// lock open.
/// </summary>
internal static class OlderRun
{
    /// <summary>The account that had no files (Debian's base-passwd).</summary>
    private const uint Nobody = 65534;

    /// <summary>Whom such a run belongs to.</summary>
    public static uint Owner => Environment.IsPrivilegedProcess ? Nobody : PrivateFolder.Caller;

    public static ProcessHandle[] Find(RunDirectory run)
    {
        var folder = FileIdentity.OfTarget(run.Path);
        if (FileIdentity.Of(run.Lock) is not { IsRegular: true } held || folder is null)
        {
            return [];
        }

        return [.. ProcessHandle.All().Where(id => id > 1 && id != Environment.ProcessId && IsOf(id))
            .Select(id => ProcessHandle.TryOpen(id, IsOf)).OfType<ProcessHandle>()];

        bool IsOf(int id) =>
            ProcessHandle.UsersOf(id) is [var user, ..] && user == Owner
                && (HasOpen(id, held)
                    || (Environment.IsPrivilegedProcess && folder.Value.IsSameAs(FileIdentity.OfTarget($"/proc/{id}/cwd"))));
    }

    private static bool HasOpen(int id, FileIdentity wanted)
    {
        try
        {
            return Directory.EnumerateFileSystemEntries($"/proc/{id}/fd")
                .Any(descriptor => wanted.IsSameAs(FileIdentity.OfTarget(descriptor)));
        }
        catch (Exception gone) when (gone is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}

/// <summary>Tells this start of the host from others.</summary>
internal static class HostBoot
{
    public static string Id { get; } = File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();
}
