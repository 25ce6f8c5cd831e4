using System.Diagnostics;
using Tmds.Linux;
using WebVm.Vmm.Control;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;

namespace WebVm.Guest.Tests;

/// <summary>A monitor's process that was handed everything it uses, and stands in an empty folder.</summary>
internal sealed class HandedMonitor : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-handed").FullName;
    private readonly string _socket;

    /// <param name="files">What the monitor finds under which name; null for a listening control socket.</param>
    public HandedMonitor(string[] arguments, params (string Name, FileDescriptor? File)[] files)
        : this(Monitors.Installed, StartWithoutDiagnostics, arguments, files)
    {
    }

    /// <param name="program">The monitor's.</param>
    /// <param name="start">Starts it.</param>
    public HandedMonitor(
        string program, Func<ProcessStartInfo, Process> start, string[] arguments, params (string Name, FileDescriptor? File)[] files)
    {
        _socket = Path.Combine(_folder, "control");
        string empty = Directory.CreateDirectory(Path.Combine(_folder, "empty")).FullName;
        List<FileDescriptor> handed = [];
        try
        {
            List<string> all = [.. arguments];
            foreach (var (name, file) in files)
            {
                handed.Add(Inheritable(file ?? UnixSocket.Listen(_socket)));
                all.AddRange(["--handed", $"{handed[^1].Number}={name}"]);
            }

            Process = start(
                new ProcessStartInfo(
                    program, all) { WorkingDirectory = empty, RedirectStandardError = true, RedirectStandardOutput = true });
        }
        finally
        {
            handed.ForEach(descriptor => descriptor.Dispose());
        }
    }

    public Process Process { get; }

    public async Task<ControlClient> ConnectAsync() => (await ControlClient.ConnectAsync(_socket)).Start();

    public void Dispose()
    {
        Process.Kill();
        Process.WaitForExit();
        Process.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>
    /// As the keeper starts a build that compiles at run time: its door for debuggers is a socket in /tmp, which the filter refuses.
    /// </summary>
    private static Process StartWithoutDiagnostics(ProcessStartInfo information)
    {
        information.Environment["DOTNET_EnableDiagnostics"] = "0";
        return Process.Start(information)!;
    }

    private static FileDescriptor Inheritable(FileDescriptor file) =>
        LibC.fcntl(file.Number, LibC.F_SETFD, 0) == 0 ? file : throw LinuxException.Last("fcntl");
}
