using WebVm.Api.Operations;
using WebVm.Vmm.Host;
using WebVm.Vmm.State;

namespace WebVm.Api.Runs;

/// <summary>The files of a saved state, as they are handed to the monitor that goes on from it.</summary>
internal static class SavedFiles
{
    public const string Description = SavedStateFolder.FileName;

    /// <summary>What the monitor knows the state's folder by.</summary>
    public const string FolderName = "state";

    /// <exception cref="OperationFailedException">The folder holds what no state consists of: a link, a device, another's file.</exception>
    public static IReadOnlyList<(string Name, string Path)> Find(string folder)
    {
        // Written by a monitor of an older build, below a folder that was closed to others already, so that the start passed it by.
        if (FileIdentity.Of(folder) is { IsDirectory: true } older && older.Owner != PrivateFolder.Caller)
        {
            PrivateFolder.Take(folder);
        }

        var files = new List<(string Name, string Path)>();
        foreach (string path in Directory.EnumerateFileSystemEntries(folder))
        {
            string name = Path.GetFileName(path);
            if (name == BootFiles.FileName)
            {
                continue;
            }

            if (FileIdentity.Of(path) is not { IsRegular: true, Links: 1 } file || file.Owner != PrivateFolder.Caller
                || name.Any(c => c == '=' || char.IsControl(c)))
            {
                throw new OperationFailedException("The saved state holds something that is no file of the service's.");
            }

            files.Add(($"{FolderName}/{name}", path));
            if (files.Count > SavedStateFolder.MaximumFiles)
            {
                throw new OperationFailedException($"The saved state has more than {SavedStateFolder.MaximumFiles} files.");
            }
        }

        return files;
    }
}
