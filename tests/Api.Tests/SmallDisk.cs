using System.Diagnostics;
using Xunit;

namespace WebVm.Api.Tests;

/// <summary>A disk that is soon full: a tmpfs.</summary>
internal sealed class SmallDisk : IDisposable
{
    private SmallDisk(string path) => Path = path;

    public string Path { get; }

    /// <summary>Mounts one; where that is not allowed the test is skipped.</summary>
    public static SmallDisk Mount(int mebibytes)
    {
        string path = Directory.CreateTempSubdirectory("webvm-disk-").FullName;
        if (!Environment.IsPrivilegedProcess || Run("mount", "-t", "tmpfs", "-o", $"size={mebibytes}m,mode=755", "tmpfs", path) != 0)
        {
            Directory.Delete(path);
            Assert.Skip("A small disk needs the right to mount.");
        }

        return new SmallDisk(path);
    }

    public void Resize(int mebibytes) => Assert.Equal(0, Run("mount", "-o", $"remount,size={mebibytes}m", Path));

    /// <summary>Leaves no more than so many bytes free.</summary>
    public void Fill(long leave)
    {
        using var filler = new FileStream(Filler, FileMode.Append);
        byte[] zeros = new byte[4096];
        while (new DriveInfo(Path).AvailableFreeSpace > leave)
        {
            filler.Write(zeros);
            filler.Flush();
        }
    }

    public void Empty() => File.Delete(Filler);

    public void Dispose()
    {
        Run("umount", "-l", Path);
        Directory.Delete(Path);
    }

    private string Filler => System.IO.Path.Combine(Path, "filler");

    private static int Run(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true })!;
        process.WaitForExit();
        return process.ExitCode;
    }
}
