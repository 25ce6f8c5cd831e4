using System.Globalization;
using System.Text;
using WebVm.Vmm.Host;

namespace WebVm.Api.Runs;

/// <summary>
/// The folder of one run of a monitor: everything by which a service, this one or the next, finds the processes again. It is the service's
/// own, and its monitor writes nothing in it; but builds before the keeper gave it to the monitor, so that whatever is read here is read as
/// hostile. Kept short, because a Unix socket's path has at most 107 bytes (unix(7)).
/// </summary>
public sealed class RunDirectory(string root, string runId)
{
    private const int LongestExitCode = 16;

    public string Path { get; } = System.IO.Path.Combine(root, runId);

    /// <summary>The control socket.</summary>
    public string Control => System.IO.Path.Combine(Path, "control");

    /// <summary>The machine spec that the monitor was started with.</summary>
    public string Spec => System.IO.Path.Combine(Path, "machine.json");

    /// <summary>Which images the machine boots (<see cref="BootFiles"/>).</summary>
    public string Boot => System.IO.Path.Combine(Path, BootFiles.FileName);

    /// <summary>What the monitor printed, as far as its keeper kept it.</summary>
    public string Log => System.IO.Path.Combine(Path, "monitor.log");

    /// <summary>Held locked as long as the keeper or the monitor lives.</summary>
    public string Lock => System.IO.Path.Combine(Path, "lock");

    /// <summary>The keeper's record of the run's processes.</summary>
    public string Process => System.IO.Path.Combine(Path, "process");

    /// <summary>The uid that the run was given (<see cref="MonitorUsers"/>).</summary>
    public string User => System.IO.Path.Combine(Path, "user");

    /// <summary>The monitor's exit code, once it has ended.</summary>
    public string Exit => System.IO.Path.Combine(Path, "exit");

    /// <summary>Whether the processes of the run have begun, and will not begin once more.</summary>
    public bool Launched => ReadRecord() is not null || IsOfOlderBuild;

    // "session" is what the shell around older builds' monitors wrote; nothing in it counts.
    internal bool IsOfOlderBuild =>
        FileIdentity.Of(Path) is { } folder
            && (folder.Owner != PrivateFolder.Caller || FileIdentity.Of(System.IO.Path.Combine(Path, "session")) is not null);

    /// <summary>A name for a new run.</summary>
    public static string NewId() => Guid.NewGuid().ToString("N")[..12];

    /// <summary>Makes the folder, for the service alone. One that is there already is gone on with.</summary>
    /// <exception cref="IOException">Something else has its name, or it is another's.</exception>
    public void Create()
    {
        Directory.CreateDirectory(Path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        if (!PrivateFolder.TrySetMode(Path, PrivateFolder.FolderMode))
        {
            throw new IOException($"The run's folder {Path} is not the service's own.");
        }
    }

    /// <summary>Null while the monitor's end has not been reported.</summary>
    public int? ReadExitCode() =>
        CheckedFile.TryRead(Exit, LongestExitCode) is { } text
        && int.TryParse(Encoding.ASCII.GetString(text).AsSpan().Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out int code)
            && code is >= 0 and <= byte.MaxValue
            ? code
            : null;

    /// <summary>Whether something of the run lives: the monitor, or the keeper that will report its end.</summary>
    public bool IsAlive()
    {
        if (CheckedFile.IsLocked(Lock))
        {
            return true;
        }

        using var processes = RunProcesses.Of(this);
        return processes.AreAlive;
    }

    /// <summary>
    /// Whether the keeper that was recorded lives, or has left behind a monitor whose end it wrote down: else nobody writes that down.
    /// </summary>
    public bool IsKept()
    {
        if (ReadRecord() is not { } record)
        {
            return true;
        }

        using var keeper = ProcessHandle.TryOpen(record.Keeper.Id, record.Keeper.Start);
        // The end is written before the keeper leaves.
        return keeper is { HasEnded: false } || ReadExitCode() is not null;
    }

    /// <summary>The process that executes the guest, to be looked at; null when there is none.</summary>
    public int? MonitorId()
    {
        using var processes = RunProcesses.Of(this);
        return processes.MonitorId;
    }

    /// <summary>Ends the monitor at once.</summary>
    public void KillMonitor()
    {
        using var processes = RunProcesses.Of(this);
        processes.KillMonitor();
    }

    /// <summary>Ends everything of the run at once.</summary>
    public void KillAll()
    {
        using var processes = RunProcesses.Of(this);
        processes.KillAll();
    }

    /// <summary>The end of what the monitor printed, for a message. Whatever it wrote, this is text.</summary>
    public string LogTail(int bytes = 400)
    {
        var text = new StringBuilder(Encoding.UTF8.GetString(CheckedFile.ReadEnd(Log, bytes)));
        for (int i = 0; i < text.Length; i++)
        {
            text[i] = char.IsControl(text[i]) && text[i] != '\n' ? ' ' : text[i];
        }

        return text.ToString().Trim();
    }

    /// <summary>Deletes the folder. A link in it goes, never what it leads to.</summary>
    public void Delete()
    {
        if (FileIdentity.Of(Path) is { IsDirectory: true })
        {
            Directory.Delete(Path, recursive: true);
        }
    }

    /// <summary>
    /// The keeper's record; null while there is none. Only the service's own account, which the keeper has, may have written it.
    /// </summary>
    internal RunRecord? ReadRecord() =>
        CheckedFile.TryRead(Process, RunRecord.MaximumLength, PrivateFolder.Caller) is { } content ? RunRecord.Parse(content) : null;
}
