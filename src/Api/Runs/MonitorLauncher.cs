using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Options;
using WebVm.Api.Operations;
using WebVm.Api.Persistence.Entities;
using WebVm.Api.Settings;

namespace WebVm.Api.Runs;

/// <summary>
/// Starts monitors, each by a keeper of its own (<c>webvm-vmm keep</c>, docs/security.md): it opens the monitor's files, builds the walls
/// around it, writes down which processes there are, and how the monitor ended even when the service is not there to see it.
/// </summary>
public sealed class MonitorLauncher(IOptions<ServiceOptions> options, MonitorIsolation isolation, MonitorUsers users, ControlGroups groups)
{
    // sysexits.h, EX_TEMPFAIL: the run has begun already, or its folder is gone.
    private const int HasBegun = 75;
    private const int MostWords = 1000;

    /// <summary>Starts the monitor of a run whose files are in place. Harmless when it runs already.</summary>
    /// <returns>Why the keeper gave up, once it has; null when it leaves at the monitor's end.</returns>
    /// <exception cref="OperationFailedException">This host lets the service build less around monitors than is demanded.</exception>
    /// <exception cref="IOException">The program cannot be started.</exception>
    internal async Task<Task<KeeperFailure?>> LaunchAsync(RunDirectory run, MonitorInput input)
    {
        var walls = await isolation.WallsAsync();
        List<string> arguments = ["keep", "--folder", run.Path, "--level", walls.Level];
        if (walls.Walls.Contains(Isolation.OwnUser))
        {
            arguments.AddRange(["--user", users.Take(run).ToString(CultureInfo.InvariantCulture)]);
        }

        if (walls.Level != Isolation.None && groups.Make(run) is { } group)
        {
            arguments.AddRange(["--group", group]);
        }

        if (walls.Level != Isolation.None)
        {
            arguments.AddRange(["--largest-file", input.LargestFile.ToString(CultureInfo.InvariantCulture)]);
        }

        if (input.Kvm)
        {
            arguments.Add("--kvm");
        }

        arguments.AddRange(input.Files.SelectMany(file => (string[])["--file", $"{file.Name}={file.Path}"]));
        arguments.AddRange(["--", "serve", .. input.Arguments]);
        var start = KeeperCommand.Start(options.Value, arguments);
        start.WorkingDirectory = run.Path;
        try
        {
            var keeper = Process.Start(start)!;
            keeper.StandardInput.Close();
            return WatchAsync(keeper);
        }
        catch (System.ComponentModel.Win32Exception failure)
        {
            throw new IOException($"The monitor's program cannot be started: {failure.Message}", failure);
        }
    }

    private static async Task<KeeperFailure?> WatchAsync(Process keeper)
    {
        using (keeper)
        {
            // It says a sentence at most, which the pipe holds. A read that waits would cost a thread for each machine.
            await keeper.WaitForExitAsync();
            if (keeper.ExitCode is 0 or HasBegun)
            {
                return null;
            }

            char[] words = new char[MostWords];
            int length = await keeper.StandardError.ReadBlockAsync(words);
            return new KeeperFailure(keeper.ExitCode, new string(words, 0, length).Trim());
        }
    }
}

/// <summary>A keeper that left without a monitor.</summary>
/// <param name="ExitCode">As the monitor's own.</param>
internal sealed record KeeperFailure(int ExitCode, string Complaint);
