using System.Diagnostics;
using System.Text;
using Tmds.Linux;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;
using Xunit;

namespace WebVm.Vmm.Tests.Host;

/// <summary>
/// Whatever stands in the place of a file, its reader gets the file's bytes or is told what is wrong; it never waits, follows or overruns.
/// </summary>
public sealed class UntrustedFileTests : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("webvm-untrusted-");

    public void Dispose() => _directory.Delete(recursive: true);

    [Fact]
    public void A_regular_file_is_read_up_to_its_bound()
    {
        File.WriteAllText(At("file"), "0123456789");
        Assert.Equal("0123456789", Encoding.UTF8.GetString(UntrustedFile.Read(At("file"), 10)));
        Assert.Equal("789", Encoding.UTF8.GetString(UntrustedFile.ReadEnd(At("file"), 3)));
        Assert.Equal("0123456789", Encoding.UTF8.GetString(UntrustedFile.ReadEnd(At("file"), 100)));
        Refused(At("file"), "more than the 9", maximum: 9);
    }

    [Fact]
    public void A_file_of_a_terabyte_is_refused_before_it_is_read()
    {
        using (var file = File.Create(At("long")))
        {
            file.SetLength(1L << 40);
        }

        Refused(At("long"), "more than");
        Assert.Equal(4096, UntrustedFile.ReadEnd(At("long"), 4096).Length);
    }

    [Theory]
    [InlineData("mkfifo {0}")]
    [InlineData("mkdir {0}")]
    [InlineData("python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('{0}')\"")]
    public void What_is_no_regular_file_is_refused_without_waiting(string make)
    {
        Shell(string.Format(System.Globalization.CultureInfo.InvariantCulture, make, At("thing")));
        Refused(At("thing"), "thing");
    }

    [Theory]
    [InlineData("/dev/zero")]
    [InlineData("/dev/null")]
    public void A_device_is_refused(string device) => Refused(device, "not a regular file");

    [Fact]
    public void A_link_is_followed_only_where_a_person_named_it()
    {
        File.WriteAllText(At("file"), "text");
        File.CreateSymbolicLink(At("link"), At("file"));
        Refused(At("link"), "symbolic link");
        Assert.Equal("text", Encoding.UTF8.GetString(UntrustedFile.Read(At("link"), 10, Links.Follow)));
        File.CreateSymbolicLink(At("to-fifo"), At("fifo"));
        Shell($"mkfifo {At("fifo")}");
        Assert.Contains(
            "not a regular file", Assert.Throws<InvalidDataException>(() => UntrustedFile.Open(At("to-fifo"), Links.Follow)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_name_that_the_kernel_would_cut_short_is_refused()
    {
        File.WriteAllText(At("file"), "text");
        Refused(At("file") + "\0.memory", "not the name of a file");
        Refused("", "not the name of a file");
        Refused(At("missing"), "No such file");
    }

    [Fact]
    public void An_open_descriptor_is_judged_by_what_it_is_and_read_from_its_beginning()
    {
        File.WriteAllText(At("file"), "0123456789");
        using var handle = File.OpenHandle(At("file"));
        using var file = new FileDescriptor((int)handle.DangerousGetHandle()).Duplicate();
        File.Move(At("file"), At("other"));
        Assert.Equal("0123456789", Encoding.UTF8.GetString(UntrustedFile.Read(file, "state", 100)));
        using var folder = new FileDescriptor(OpenFolder());
        Assert.Contains(
            "'state' is not a regular file", Assert.Throws<InvalidDataException>(() => UntrustedFile.Read(folder, "state", 100)).Message,
            StringComparison.Ordinal);
    }

    private int OpenFolder() => FileCalls.Open(_directory.FullName, LibC.O_DIRECTORY, 0);

    private string At(string name) => Path.Combine(_directory.FullName, name);

    private static void Refused(string path, string because, int maximum = 1 << 20) =>
        Assert.Contains(
            because, Assert.Throws<InvalidDataException>(() => UntrustedFile.Read(path, maximum)).Message, StringComparison.Ordinal);

    private static void Shell(string command)
    {
        using var shell = Process.Start("sh", ["-c", command]);
        shell.WaitForExit();
        Assert.Equal(0, shell.ExitCode);
    }
}
