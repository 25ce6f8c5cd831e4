using WebVm.Vmm.Host;

namespace WebVm.Vmm.State;

/// <summary>
/// The folder of a saved state, made by who asks for the state and not by the machine: its process only writes into files that are open. So
/// a machine's process that nobody trusts decides neither where a state lies nor what is a file there, and the state is there complete or
/// not at all.
/// </summary>
public static class SavedStateFolder
{
    /// <summary>The sections.</summary>
    public const string FileName = "machine.json";

    /// <summary>Bytes of the sections; a machine with 64 vCPUs and a full set of devices needs a fraction.</summary>
    public const int MaximumLength = 16 << 20;

    /// <summary>Of a machine with as many memory regions as there can be, and some.</summary>
    public const int MaximumFiles = 256;

    private const int LongestName = 64;
    private const string ContentsSuffix = ".memory";

    /// <summary>The file with the contents of a region of memory.</summary>
    public static string FileOf(string region) => region + ContentsSuffix;

    /// <summary>
    /// Makes a state's files beside its place, lets <paramref name="write"/> fill them, makes them durable and gives the folder its name.
    /// </summary>
    /// <param name="directory">Where the state is to lie. A state that is there already is replaced in one step.</param>
    /// <param name="files">Names and lengths as the machine gave them.</param>
    /// <param name="write">Fills the files. They are closed when it is done.</param>
    /// <exception cref="IOException">The directory is something else, what was written is no state, or the host could not write; nothing is
    /// left behind.</exception>
    /// <exception cref="InvalidDataException">The names are none for files.</exception>
    public static async Task<T> WriteAsync<T>(
        string directory, IReadOnlyDictionary<string, long?> files, Func<IReadOnlyDictionary<string, FileDescriptor>, Task<T>> write)
    {
        foreach (string name in files.Keys)
        {
            CheckName(name);
        }

        if (files.Count > MaximumFiles || !files.ContainsKey(FileName))
        {
            throw new InvalidDataException($"No saved state has these {files.Count} files.");
        }

        string final = Path.TrimEndingDirectorySeparator(Path.GetFullPath(directory));
        RefuseToReplace(final);
        string parent = Path.GetDirectoryName(final) ?? throw new IOException($"'{final}' is no place for a saved state.");
        string temporary = $"{final}.saving-{Environment.ProcessId}-{Guid.NewGuid():n}";
        Dictionary<string, FileDescriptor> open = new(StringComparer.Ordinal);
        try
        {
            Directory.CreateDirectory(parent);
            Directory.CreateDirectory(temporary, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            foreach (string name in files.Keys)
            {
                open.Add(name, SparseFile.CreateNew(Path.Combine(temporary, name)));
            }

            var result = await write(open).ConfigureAwait(false);
            Publish(temporary, parent, final, files, open);
            return result;
        }
        catch (Exception failure)
        {
            Discard(temporary, open.Values);
            if (failure is LinuxException or UnauthorizedAccessException)
            {
                throw new IOException($"The state cannot be saved to '{final}': {failure.Message}", failure);
            }

            throw;
        }
        finally
        {
            foreach (var file in open.Values)
            {
                file.Dispose();
            }
        }
    }

    /// <summary>A plain file name, which says nothing to a shell, a terminal or a path.</summary>
    internal static bool IsFileName(string name) =>
        name.Length is > 0 and <= LongestName && name[0] != '.'
            && name.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '.' or '-' or '_');

    private static void CheckName(string name)
    {
        if (!IsFileName(name))
        {
            throw new InvalidDataException("A machine gave a name for a file of its state that is none.");
        }
    }

    /// <summary>Only a saved state or an empty directory is replaced: a slip of the hand must not cost a home directory.</summary>
    private static void RefuseToReplace(string final)
    {
        if (File.Exists(final)
            || (Directory.Exists(final) && Directory.EnumerateFileSystemEntries(final).Any()
                && !File.Exists(Path.Combine(final, FileName))))
        {
            throw new IOException($"'{final}' exists and is no saved state.");
        }
    }

    private static void Publish(
        string temporary, string parent, string final, IReadOnlyDictionary<string, long?> files, Dictionary<string, FileDescriptor> open)
    {
        foreach (var (name, file) in open)
        {
            // Asked of the descriptors that were made here: nobody else has put a name into this folder.
            long length = SparseFile.Length(file);
            if (files[name] is { } expected ? length != expected : length is 0 or > MaximumLength)
            {
                throw new IOException($"The machine wrote {length} bytes of '{name}', which is no part of a state then.");
            }

            DurableFiles.Synchronize(file);
        }

        DurableFiles.SynchronizeDirectory(temporary);
        bool replaced = DurableFiles.PublishReplacing(temporary, final);
        DurableFiles.SynchronizeDirectory(parent);
        if (replaced)
        {
            Directory.Delete(temporary, recursive: true);
        }
    }

    private static void Discard(string temporary, IEnumerable<FileDescriptor> open)
    {
        try
        {
            foreach (var file in open)
            {
                // The machine's process may have it open for long: nothing of it is kept by that.
                SparseFile.SetLength(file, 0);
            }

            Directory.Delete(temporary, recursive: true);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or LinuxException)
        {
            // What could not be created cannot be deleted either.
        }
    }
}
