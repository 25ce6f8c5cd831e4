using System.Diagnostics;
using WebVm.Api.Supervisor;
using Xunit;

namespace WebVm.Api.Tests;

/// <summary>A monitor that its guest has taken over may put anything in its run directory: the service takes it for nothing, and goes on.</summary>
public sealed class RunDirectoryTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("webvm-runs-").FullName;
    private readonly RunDirectory _run;

    public RunDirectoryTests()
    {
        _run = new RunDirectory(_root, "hostile");
        Directory.CreateDirectory(_run.Path);
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public void What_the_shell_around_a_monitor_writes_is_read()
    {
        File.WriteAllText(_run.Exit, "43\n   \n");
        File.WriteAllText(_run.Session, "4711\n");
        File.WriteAllText(_run.Log, new string('x', 1000) + "the end\n");
        Assert.Equal((43, 4711), (_run.ReadExitCode(), _run.ReadSession()));
        Assert.EndsWith("the end", _run.LogTail(), StringComparison.Ordinal);
        Assert.InRange(_run.LogTail().Length, 390, 400);
    }

    [Theory]
    [InlineData("mkfifo exit session monitor.log")]
    [InlineData("mkdir exit session monitor.log")]
    [InlineData("echo 1 >elsewhere; for name in exit session monitor.log; do ln -s elsewhere $name; done")]
    [InlineData("ln -s /dev/zero exit; ln -s /dev/zero session; ln -s /dev/zero monitor.log")]
    [InlineData("truncate -s 1T exit session")]
    [InlineData("printf '1\\n2' | tee exit >session")]
    public void What_stands_in_its_place_is_taken_for_nothing(string make)
    {
        using (var shell = Process.Start(new ProcessStartInfo("sh", ["-c", make]) { WorkingDirectory = _run.Path })!)
        {
            shell.WaitForExit();
        }

        Assert.Null(_run.ReadExitCode());
        Assert.Null(_run.ReadSession());
        Assert.Equal("", _run.LogTail());
    }
}
