using System.Globalization;
using Microsoft.Win32.SafeHandles;
using Tmds.Linux;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Host;

/// <summary>
/// Holds one process (pidfd_open(2)), whatever becomes of its number: a signal sent by it never reaches another process. Opened by a
/// number, it is the process that had the number then; <see cref="TryOpen(int, ulong)"/> makes sure which that is.
/// </summary>
public sealed unsafe class ProcessHandle : SafeHandleMinusOneIsInvalid
{
    // Field 22 of /proc/PID/stat, counted behind the name in brackets, which may hold anything (proc(5)).
    private const int StartTimeField = 19;

    private readonly FileDescriptor _descriptor;

    private ProcessHandle(FileDescriptor descriptor, int processId)
        : base(ownsHandle: true)
    {
        _descriptor = descriptor;
        ProcessId = processId;
        SetHandle(descriptor.Number);
    }

    /// <summary>The number by which the process was opened; another's once it has ended.</summary>
    public int ProcessId { get; }

    /// <summary>Whether the process has ended: it may still wait for its parent to take note.</summary>
    public bool HasEnded
    {
        get
        {
            using var held = new HandleLease(this);
            var wait = new pollfd { fd = held.Number, events = LibC.POLLIN };
            return LibC.poll(&wait, 1, 0) > 0;
        }
    }

    /// <summary>The process that has a number now; null when there is none.</summary>
    /// <exception cref="LinuxException">The kernel has no pidfds (before 5.3), or no descriptor is left.</exception>
    public static ProcessHandle? TryOpen(int processId)
    {
        int descriptor = (int)LibC.syscall(SystemCall.SYS_pidfd_open, processId, 0);
        if (descriptor >= 0)
        {
            return new ProcessHandle(new FileDescriptor((int)descriptor), processId);
        }

        var failure = LinuxException.Last("pidfd_open");
        return failure.Errno is ErrorNumber.ESRCH or ErrorNumber.EINVAL ? null : throw failure;
    }

    /// <summary>The process that has a number now if it is the one that was started then; null when that one has ended.</summary>
    /// <param name="startTime">Ticks from the host's boot (field 22 of /proc/PID/stat).</param>
    public static ProcessHandle? TryOpen(int processId, ulong startTime) => TryOpen(processId, id => StartTimeOf(id) == startTime);

    /// <summary>The process that has a number now, if it is what the caller looks for.</summary>
    /// <param name="isWanted">Looks at /proc by the number. It is asked while the process is held, and believed if the process lives
    /// afterwards: then the number was still its own.</param>
    public static ProcessHandle? TryOpen(int processId, Func<int, bool> isWanted)
    {
        var process = TryOpen(processId);
        if (process is null || (isWanted(processId) && !process.HasEnded))
        {
            return process;
        }

        process.Dispose();
        return null;
    }

    /// <summary>When the process that has a number was started, in ticks from the host's boot; null when there is none.</summary>
    public static ulong? StartTimeOf(int processId) =>
        ulong.TryParse(Field(processId, StartTimeField), CultureInfo.InvariantCulture, out ulong ticks) ? ticks : null;

    /// <summary>
    /// Real, effective, saved and file system uids of the process that has a number (/proc/PID/status); empty when there is none.
    /// </summary>
    public static IReadOnlyList<uint> UsersOf(int processId)
    {
        try
        {
            string? line = File.ReadLines(string.Create(CultureInfo.InvariantCulture, $"/proc/{processId}/status"))
                .FirstOrDefault(line => line.StartsWith("Uid:", StringComparison.Ordinal));
            return line is null ? [] : [.. line.Split('\t').Skip(1).Select(text => uint.Parse(text, CultureInfo.InvariantCulture))];
        }
        catch (Exception gone) when (gone is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    /// <summary>The numbers of all processes that are to be seen.</summary>
    public static IEnumerable<int> All() => Directory.EnumerateDirectories("/proc")
        .Select(process => int.TryParse(Path.GetFileName(process), NumberStyles.None, CultureInfo.InvariantCulture, out int id) ? id : 0)
            .Where(id => id > 0);

    /// <summary>Ends the process at once; harmless when it has ended.</summary>
    public void Kill()
    {
        using var held = new HandleLease(this);
        if ((int)LibC.syscall(SystemCall.SYS_pidfd_send_signal, held.Number, LibC.SIGKILL, 0, 0) != 0
            && LinuxException.Last("pidfd_send_signal") is { Errno: not ErrorNumber.ESRCH } failure)
        {
            throw failure;
        }
    }

    protected override bool ReleaseHandle()
    {
        _descriptor.Dispose();
        return true;
    }

    private static string? Field(int processId, int index)
    {
        try
        {
            string stat = File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{processId}/stat"));
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return index < fields.Length ? fields[index] : null;
        }
        catch (Exception gone) when (gone is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
