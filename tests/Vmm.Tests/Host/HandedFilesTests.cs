using WebVm.Vmm.Host;
using Xunit;

namespace WebVm.Vmm.Tests.Host;

/// <summary>Who was handed descriptors uses those, and opens nothing.</summary>
public sealed class HandedFilesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-handed").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_name_that_was_handed_is_read_by_its_descriptor_again_and_again_even_when_the_name_is_gone()
    {
        string path = Write("kernel", "contents");
        var handed = Handed(("kernel", SparseFile.Open(path, write: false)));
        File.Delete(path);
        Assert.Equal("contents"u8, handed.Read("kernel", 100));
        Assert.Equal("contents"u8, handed.Read("kernel", 100));
        Assert.Throws<InvalidDataException>(() => handed.Read("kernel", 7));
    }

    [Fact]
    public void A_name_that_was_not_handed_is_not_opened_though_it_is_there()
    {
        string path = Write("other", "contents");
        var handed = Handed();
        Assert.Contains(
            "was not handed", Assert.Throws<InvalidDataException>(() => handed.Read(path, 100)).Message, StringComparison.Ordinal);
        Assert.Throws<InvalidDataException>(() => handed.Open(path));
        Assert.Throws<IOException>(() => handed.Create(Path.Combine(_folder, "new")));
        Assert.Throws<IOException>(() => handed.Listen(Path.Combine(_folder, "socket")));
        Assert.Null(handed.TryOpenDevice("null", "/dev/null", out string? reason));
        Assert.Contains("/dev/null", reason, StringComparison.Ordinal);
        Assert.Equal(["other"], Directory.EnumerateFileSystemEntries(_folder).Select(Path.GetFileName));
    }

    [Fact]
    public void Who_was_handed_nothing_opens_names_itself()
    {
        var open = new HandedFiles();
        Assert.False(open.Confined);
        Assert.Equal("contents"u8, open.Read(Write("file", "contents"), 100));
        using var device = open.TryOpenDevice("null", "/dev/null", out _);
        Assert.NotNull(device);
    }

    [Fact]
    public void What_is_handed_in_the_place_of_another_kind_is_refused()
    {
        using var listener = UnixSocket.Listen(Path.Combine(_folder, "socket"));
        var handed = Handed(("kernel", listener.Duplicate()), ("control", SparseFile.Open(Write("file", ""), write: false)));
        Assert.Throws<InvalidDataException>(() => handed.Open("kernel"));
        Assert.Throws<IOException>(() => handed.Listen("control"));
        using var again = handed.TryOpenDevice("kernel", "", out _);
        Assert.True(UnixSocket.IsListening(again!));
    }

    [Fact]
    public void What_was_dropped_is_not_handed_any_more()
    {
        var handed = Handed(("kvm", SparseFile.Open(Write("file", ""), write: false)));
        handed.Drop("kvm");
        handed.Drop("other");
        Assert.Null(handed.TryOpenDevice("kvm", "/dev/kvm", out _));
    }

    [Theory]
    [InlineData("kernel")]
    [InlineData("=kernel")]
    [InlineData("-1=kernel")]
    [InlineData("0=kernel")]
    [InlineData("2=kernel")]
    [InlineData("99999999999=kernel")]
    [InlineData("900000=kernel")]
    public void A_descriptor_that_is_none_is_refused(string text)
    {
        Assert.Throws<InvalidDataException>(() => HandedFiles.Adopt([text]));
        Assert.False(HandedFiles.OfProcess.Confined);
    }

    private static HandedFiles Handed(params (string Name, FileDescriptor File)[] files) =>
        new(files.ToDictionary(file => file.Name, file => file.File));

    private string Write(string name, string contents)
    {
        string path = Path.Combine(_folder, name);
        File.WriteAllText(path, contents);
        return path;
    }
}
