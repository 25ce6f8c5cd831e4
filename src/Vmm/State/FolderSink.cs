using System.Text.Json;
using WebVm.Vmm.Host;

namespace WebVm.Vmm.State;

/// <summary>What the sections' file of a folder holds.</summary>
/// <param name="Schema">Of the folder as such. 1 was one record of everything, before there were sections.</param>
internal sealed record FolderDescription(int Schema, IReadOnlyList<StateSection> Sections)
{
    public const int CurrentSchema = 2;
}

/// <summary>Writes a state into files that are there already, which <see cref="SavedStateFolder"/> made and publishes.</summary>
/// <param name="files">By the names that they have in the folder; still the caller's.</param>
public sealed class FolderSink(IReadOnlyDictionary<string, FileDescriptor> files) : IStateSink
{
    public void WriteSections(IReadOnlyList<StateSection> sections)
    {
        var description = new FolderDescription(FolderDescription.CurrentSchema, sections);
        SparseFile.Write(
            Of(SavedStateFolder.FileName), 0, JsonSerializer.SerializeToUtf8Bytes(description, StateSectionJson.Strict.FolderDescription));
    }

    public long WriteContents(
        StateContents contents, FileDescriptor source, Action<long>? reached = null, CancellationToken cancellation = default) =>
        SparseFile.Copy(source, Of(SavedStateFolder.FileOf(contents.Name)), reached, cancellation);

    public void Complete()
    {
        // Who made the files checks and publishes them.
    }

    private FileDescriptor Of(string name) => files.GetValueOrDefault(name) ?? throw new IOException($"There is no file for '{name}'.");
}
