using System.Globalization;
using System.Text;
using Tmds.Linux;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Confinement.Keeping;

/// <summary>
/// The folder of a run, which belongs to the service: how a service, this one or the next, finds the run's processes and learns their end.
/// The monitor reaches none of it.
/// </summary>
internal sealed unsafe class RunFolder : IDisposable
{
    private const uint OwnerOnly = 0b110_000_000;
    private const int LockTries = 50;
    private const int LockPauseMilliseconds = 100;

    private readonly string _path;
    private readonly FileDescriptor _exit;

    private RunFolder(string path, FileDescriptor locked, FileDescriptor exit, FileDescriptor log) =>
        (_path, Lock, _exit, Log) = (path, locked, exit, log);

    public FileDescriptor Lock { get; }

    public FileDescriptor Log { get; }

    /// <summary>Takes the run. Null when somebody has begun it already, or its folder is gone.</summary>
    /// <exception cref="LinuxException">The folder cannot be written to.</exception>
    public static RunFolder? TryBegin(string path)
    {
        int number = FileCalls.Open(Path.Combine(path, "lock"), LibC.O_RDWR | LibC.O_CREAT | LibC.O_NOFOLLOW | LibC.O_CLOEXEC, OwnerOnly);
        if (number < 0)
        {
            var failure = LinuxException.Last("open");
            return failure.Errno == ErrorNumber.ENOENT ? null : throw failure;
        }

        var locked = new FileDescriptor(number);
        // Who looks whether the run is alive holds the lock for an instant.
        for (int attempt = 0; FileCalls.Lock(number, FileCalls.LOCK_EX | FileCalls.LOCK_NB) != 0; attempt++)
        {
            if (attempt == LockTries)
            {
                locked.Dispose();
                return null;
            }

            Thread.Sleep(LockPauseMilliseconds);
        }

        if (File.Exists(Path.Combine(path, "process")) || File.Exists(Path.Combine(path, "exit")))
        {
            locked.Dispose();
            return null;
        }

        // The place for the exit code is taken now: a disk that is full at the end does not make a vanished monitor of it.
        var exit = Create(Path.Combine(path, "exit.new"));
        SparseFile.Write(exit, 0, "      "u8);
        return new RunFolder(path, locked, exit, Create(Path.Combine(path, "monitor.log")));
    }

    /// <summary>Writes down whom to find, at once or not at all.</summary>
    public void RecordProcess(ConfinedProcess? confined, int monitor, IsolationLevel level, uint? user)
    {
        var text = new StringBuilder("format 1\n")
            .Append(CultureInfo.InvariantCulture, $"boot {File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim()}\n")
            .Append(CultureInfo.InvariantCulture, $"keeper {Environment.ProcessId} {ProcessHandle.StartTimeOf(Environment.ProcessId)}\n")
            .Append(CultureInfo.InvariantCulture, $"monitor {monitor} {ProcessHandle.StartTimeOf(monitor)}\n")
            .Append(CultureInfo.InvariantCulture, $"level {IsolationLevels.Name(level)}\n")
            .Append(CultureInfo.InvariantCulture, $"walls {string.Join(',', confined?.Walls ?? [])}\n");
        if (user is { } own)
        {
            text.Append(CultureInfo.InvariantCulture, $"user {own}\n");
        }

        string temporary = Path.Combine(_path, "process.new");
        using (var file = Create(temporary))
        {
            SparseFile.Write(file, 0, Encoding.ASCII.GetBytes(text.ToString()));
        }

        File.Move(temporary, Path.Combine(_path, "process"));
    }

    /// <summary>Writes down how the monitor ended. A folder that was deleted meanwhile wants nothing.</summary>
    public void RecordExit(int code)
    {
        SparseFile.Write(_exit, 0, Encoding.ASCII.GetBytes(code.ToString(CultureInfo.InvariantCulture).PadRight(5) + "\n"));
        try
        {
            File.Move(Path.Combine(_path, "exit.new"), Path.Combine(_path, "exit"), overwrite: true);
        }
        catch (IOException)
        {
        }
    }

    public void Dispose()
    {
        Lock.Dispose();
        _exit.Dispose();
        Log.Dispose();
    }

    private static FileDescriptor Create(string path)
    {
        int number = FileCalls.Open(path, LibC.O_RDWR | LibC.O_CREAT | LibC.O_TRUNC | LibC.O_NOFOLLOW | LibC.O_CLOEXEC, OwnerOnly);
        return number < 0 ? throw LinuxException.Last("open") : new FileDescriptor(number);
    }
}
