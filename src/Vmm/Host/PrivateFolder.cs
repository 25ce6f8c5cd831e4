using System.Globalization;
using Tmds.Linux;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Host;

/// <summary>
/// Makes folders and what is in them the caller's alone, also those that others own or write to meanwhile: nothing is reached by a link.
/// </summary>
public static class PrivateFolder
{
    /// <summary>rwx for the owner.</summary>
    public const uint FolderMode = 0b111_000_000;

    /// <summary>rw for the owner.</summary>
    public const uint FileMode = 0b110_000_000;

    /// <summary>The caller (geteuid(2)).</summary>
    public static uint Caller => LibC.geteuid();

    /// <summary>Takes a folder and all that is in it. Links, special files and files with several names stay as they are.</summary>
    /// <returns>What stayed as it was.</returns>
    public static IReadOnlyList<string> Take(string path)
    {
        var left = new List<string>();
        using var folder = FileIdentity.TryLocate(LibC.AT_FDCWD, path);
        if (folder is null || !TakeOne(folder, left, path))
        {
            return left;
        }

        TakeContent(path, folder, left, depth: 0);
        return left;
    }

    /// <summary>Sets the mode of a folder; false when it is a link or no folder, or not of that owner.</summary>
    /// <param name="owner">The caller unless given.</param>
    public static bool TrySetMode(string path, uint mode, uint? owner = null)
    {
        using var folder = FileIdentity.TryLocate(LibC.AT_FDCWD, path);
        if (folder is null || FileIdentity.Of(folder) is not { IsDirectory: true } status || status.Owner != (owner ?? Caller))
        {
            return false;
        }

        if (status.Mode != mode)
        {
            SetMode(folder, mode);
        }

        return true;
    }

    private static void TakeContent(string path, FileDescriptor folder, List<string> left, int depth)
    {
        // What a service keeps is not deeper; whoever could write here could make it so.
        const int deepest = 8;
        using var held = new HandleLease(folder);
        foreach (string name in Directory.EnumerateFileSystemEntries(ProcessPath(held.Number)).Select(entry => Path.GetFileName(entry)))
        {
            string inner = Path.Combine(path, name);
            using var entry = FileIdentity.TryLocate(held.Number, name);
            if (entry is not null && TakeOne(entry, left, inner) && FileIdentity.Of(entry).IsDirectory)
            {
                if (depth == deepest)
                {
                    left.Add(inner);
                    continue;
                }

                TakeContent(inner, entry, left, depth + 1);
            }
        }
    }

    private static bool TakeOne(FileDescriptor entry, List<string> left, string path)
    {
        var status = FileIdentity.Of(entry);
        if (!status.IsDirectory && status is not { IsRegular: true, Links: 1 })
        {
            left.Add(path);
            return false;
        }

        uint caller = Caller;
        using var held = new HandleLease(entry);
        if (status.Owner != caller && FileCalls.ChangeOwnerAt(held.Number, "", caller, uint.MaxValue, LibC.AT_EMPTY_PATH) != 0)
        {
            left.Add(path);
            return false;
        }

        uint mode = status.IsDirectory ? FolderMode : FileMode;
        if (status.Mode != mode)
        {
            SetMode(entry, mode);
        }

        return true;
    }

    // fchmod(2) refuses what was only located; the name in /proc leads to that very file.
    private static void SetMode(FileDescriptor located, uint mode)
    {
        using var held = new HandleLease(located);
        if (FileCalls.ChangeMode(ProcessPath(held.Number), mode) != 0)
        {
            throw LinuxException.Last("chmod");
        }
    }

    private static string ProcessPath(int descriptor) => string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{descriptor}");
}
