using System.Globalization;
using WebVm.Vmm.Host;

namespace WebVm.Api.Settings;

/// <summary>The folder of everything that a service keeps. One service at a time has it: two would drive the same machines.</summary>
public sealed class DataFolder : IDisposable
{
    private const string LockName = "service.lock";

    private const UnixFileMode ForOwner = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    // The account of root's private database has its folder below it, and passes.
    private const UnixFileMode Passable = ForOwner | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;

    private readonly FileStream _lock;

    private DataFolder(FileStream held) => _lock = held;

    /// <summary>
    /// Creates the folder where it is missing, closes it to others, and holds it until the process ends, however that happens.
    /// </summary>
    /// <exception cref="StartException">Another service has it, or it cannot be written to.</exception>
    public static DataFolder Claim(string path)
    {
        string name = Path.Combine(path, LockName);
        try
        {
            Directory.CreateDirectory(path);
            Tighten(path);
            return new DataFolder(Hold(name));
        }
        catch (UnauthorizedAccessException failure)
        {
            throw new StartException($"The data folder {path} cannot be written to. WEBVM_DATA names another.", failure);
        }
        catch (IOException failure) when (File.Exists(name))
        {
            throw new StartException($"Another WebVm uses the data folder {path}. WEBVM_DATA names another.", failure);
        }
        catch (IOException failure)
        {
            throw new StartException($"The data folder {path} cannot be used: {failure.Message}", failure);
        }
    }

    public void Dispose() => _lock.Dispose();

    /// <summary>Nobody else reads or writes here, not even names. What the owner gave to a group stays the group's to read.</summary>
    private static void Tighten(string path)
    {
        if (FileIdentity.OfTarget(path) is not { } folder || folder.Owner != PrivateFolder.Caller)
        {
            return;
        }

        var mode = File.GetUnixFileMode(path);
        var allowed = (Environment.IsPrivilegedProcess ? Passable : ForOwner) | UnixFileMode.GroupRead | UnixFileMode.GroupExecute;
        File.SetUnixFileMode(path, Environment.IsPrivilegedProcess ? (mode & allowed) | Passable : mode & allowed);
    }

    private static FileStream Hold(string name)
    {
        try
        {
            return Open(name);
        }
        catch (IOException) when (IsHeldByStrangers(name))
        {
            // Who opened it when earlier builds let everybody has this file for good, but not its name.
            File.Delete(name);
            return Open(name);
        }
    }

    private static FileStream Open(string name)
    {
        // FileShare.None takes flock(2), which ends with the process.
        var file = new FileStream(name, new FileStreamOptions
        {
            Mode = FileMode.OpenOrCreate, Access = FileAccess.ReadWrite, Share = FileShare.None,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        });
        File.SetUnixFileMode(file.SafeFileHandle, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return file;
    }

    /// <summary>
    /// Whether all who hold the lock are of other accounts, other than root (proc(5), /proc/locks: "1: FLOCK ADVISORY WRITE 708 08:01:4223
    /// 0 EOF").
    /// </summary>
    private static bool IsHeldByStrangers(string name)
    {
        if (FileIdentity.Of(name) is not { } held)
        {
            return false;
        }

        string inode = held.Number.ToString(CultureInfo.InvariantCulture);
        var holders = File.ReadLines("/proc/locks")
            .Select(line => line.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Where(words => words is [_, "FLOCK", _, _, _, var file, ..] && file.EndsWith(":" + inode, StringComparison.Ordinal))
            .Select(words => int.TryParse(words[4], CultureInfo.InvariantCulture, out int id) ? ProcessHandle.UsersOf(id) : [])
            .ToArray();
        return holders.Length > 0 && holders.All(users => users is [var real, ..] && real != 0 && real != PrivateFolder.Caller);
    }
}
