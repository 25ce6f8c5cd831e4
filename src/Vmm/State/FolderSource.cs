using System.Text.Json;
using WebVm.Vmm.Host;

namespace WebVm.Vmm.State;

/// <summary>
/// Reads a state from a folder. Its files are opened without waiting and without following links, and looked at before they are believed.
/// </summary>
/// <param name="earlier">Makes sections of what folders held before there were sections.</param>
public sealed class FolderSource(string directory, Func<JsonElement, IReadOnlyList<StateSection>> earlier) : IStateSource
{
    public string Name => directory;

    public IReadOnlyList<StateSection> ReadSections()
    {
        string path = Path.Combine(directory, SavedStateFolder.FileName);
        byte[] json = HandedFiles.OfProcess.Read(path, SavedStateFolder.MaximumLength);
        try
        {
            using var document = UntrustedJson.Parse(json, StrictJson.MaximumDepth);
            var root = document.RootElement;
            // The version first: another one may look different in every other way.
            if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("schema", out var schema)
                || schema.ValueKind != JsonValueKind.Number || !schema.TryGetInt32(out int version))
            {
                throw new InvalidDataException("It does not say which schema it follows.");
            }

            if (StrictJson.HasEmptyElement(root))
            {
                throw new InvalidDataException("A list has nothing in the place of an element.");
            }

            return version switch
            {
                1 => earlier(root.Clone()),
                FolderDescription.CurrentSchema => root.Deserialize(StateSectionJson.Strict.FolderDescription)!.Sections,
                _ => throw new InvalidDataException(
                    $"It follows schema {version}; this build reads schemas 1 to {FolderDescription.CurrentSchema}."),
            };
        }
        catch (Exception failure) when (failure is JsonException or NotSupportedException or ArgumentException or FormatException
            or InvalidDataException)
        {
            throw new InvalidDataException($"'{path}' is no saved machine: {failure.Message}", failure);
        }
    }

    public long? Look(StateContents contents, List<string> faults)
    {
        try
        {
            using var file = Open(contents);
            return SparseFile.DataLength(file);
        }
        catch (InvalidDataException fault)
        {
            faults.Add(fault.Message);
            return null;
        }
    }

    public void ReadContents(StateContents contents, FileDescriptor target)
    {
        using var file = Open(contents);
        SparseFile.Copy(file, target);
    }

    public void Complete()
    {
        // Each file was read whole.
    }

    private FileDescriptor Open(StateContents contents)
    {
        string name = SavedStateFolder.FileOf(contents.Name);
        if (!SavedStateFolder.IsFileName(name))
        {
            throw new InvalidDataException("A region of memory has a name that is none for a file.");
        }

        string path = Path.Combine(directory, name);
        var file = HandedFiles.OfProcess.Open(path);
        try
        {
            return (ulong)UntrustedFile.Length(file, path) == contents.Size
                ? file
                : throw new InvalidDataException($"'{path}' is not of the {contents.Size} bytes that memory '{contents.Name}' has.");
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }
}
