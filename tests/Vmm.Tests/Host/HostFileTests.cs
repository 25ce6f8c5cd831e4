using WebVm.Vmm.Host;
using Xunit;

namespace WebVm.Vmm.Tests.Host;

/// <summary>Sparse copies and steps that publish a directory at once.</summary>
public sealed class HostFileTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("webvm-host-");

    private string At(string name) => Path.Combine(_directory.FullName, name);

    public void Dispose() => _directory.Delete(recursive: true);

    [Fact]
    public void A_sparse_copy_is_equal_and_keeps_holes_and_drops_zeros()
    {
        const int seed = 99;
        var random = new Random(seed);
        byte[] expected = new byte[64 << 20];
        using var source = MemoryFile.Create("source", (ulong)expected.Length);
        for (int piece = 0; piece < 20; piece++)
        {
            int at = random.Next(expected.Length - 20000);
            random.NextBytes(expected.AsSpan(at, random.Next(1, 20000)));
        }

        for (int page = 0; page < expected.Length; page += 4096)
        {
            var data = expected.AsSpan(page, 4096);
            if (data.ContainsAnyExcept((byte)0) || page % (64 << 12) == 0)
            {
                SparseFile.Write(source.Descriptor, page, data);
            }
        }

        long written;
        using (var target = SparseFile.Open(At("copy"), write: true))
        {
            written = SparseFile.Copy(source.Descriptor, target, cancellation: TestContext.Current.CancellationToken);
        }

        Assert.True(expected.AsSpan().SequenceEqual(File.ReadAllBytes(At("copy"))), $"seed {seed}");
        Assert.InRange(written, 1, 20 * 28000);
    }

    [Fact]
    public void A_punched_hole_reads_as_zero()
    {
        using var file = SparseFile.Open(At("file"), write: true);
        SparseFile.Write(file, 0, new byte[] { 1, 2, 3, 4 });
        SparseFile.SetLength(file, 1 << 16);
        SparseFile.PunchHole(file, 0, 4096);
        Assert.Null(SparseFile.NextData(file, 0));
        byte[] back = new byte[4];
        Assert.Equal(4, SparseFile.Read(file, 0, back));
        Assert.Equal(new byte[4], back);
    }

    [Fact]
    public void Publishing_never_overwrites_by_accident()
    {
        Directory.CreateDirectory(At("new"));
        File.WriteAllText(Path.Combine(At("new"), "x"), "new");
        Directory.CreateDirectory(At("final"));
        File.WriteAllText(Path.Combine(At("final"), "x"), "old");
        Assert.False(DurableFiles.TryPublish(At("new"), At("final")));
        Assert.Equal("old", File.ReadAllText(Path.Combine(At("final"), "x")));
        Assert.True(DurableFiles.PublishReplacing(At("new"), At("final")));
        Assert.Equal("new", File.ReadAllText(Path.Combine(At("final"), "x")));
        Assert.Equal("old", File.ReadAllText(Path.Combine(At("new"), "x")));
        DurableFiles.SynchronizeDirectory(_directory.FullName);
        Assert.False(DurableFiles.PublishReplacing(At("new"), At("other")));
    }

    [Fact]
    public void A_failed_call_names_itself_and_its_error()
    {
        var failure = Assert.Throws<LinuxException>(() => SparseFile.Open(At("missing"), write: false));
        Assert.Equal(("open", 2), (failure.Call, failure.Errno));
        Assert.Contains("No such file", failure.Message, StringComparison.Ordinal);
    }
}
