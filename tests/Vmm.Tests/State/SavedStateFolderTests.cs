using WebVm.Vmm.Host;
using WebVm.Vmm.State;
using Xunit;

namespace WebVm.Vmm.Tests.State;

public sealed class SavedStateFolderTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-state-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>Whose process still has the files open holds no disk by that.</summary>
    [Theory]
    [InlineData(5000, 4096)]
    [InlineData(4096, null)]
    public async Task A_state_that_is_refused_is_emptied(int written, int? announced)
    {
        FileDescriptor? kept = null;
        var files = new Dictionary<string, long?> { [SavedStateFolder.FileName] = null, [SavedStateFolder.FileOf("ram0")] = announced };
        var refusal = await Record.ExceptionAsync(() => SavedStateFolder.WriteAsync(Path.Combine(_folder, "state"), files, open =>
        {
            kept = open[SavedStateFolder.FileOf("ram0")].Duplicate();
            SparseFile.Write(kept, 0, new byte[written]);
            SparseFile.Write(open[SavedStateFolder.FileName], 0, "{}"u8);
            return announced is null ? throw new IOException("The machine broke off.") : Task.FromResult(true);
        }));
        Assert.IsType<IOException>(refusal);
        using (kept)
        {
            Assert.Equal(0, SparseFile.Length(kept!));
        }

        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder));
    }

    [Fact]
    public async Task A_state_of_more_files_than_can_be_gone_on_from_is_refused_before_any_is_made()
    {
        var files = Enumerable.Range(0, SavedStateFolder.MaximumFiles).ToDictionary(index => $"ram{index}.memory", _ => (long?)4096);
        files[SavedStateFolder.FileName] = null;
        await Assert.ThrowsAsync<InvalidDataException>(
            () => SavedStateFolder.WriteAsync(Path.Combine(_folder, "state"), files, _ => Task.FromResult(true)));
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder));
    }
}
