using System.Diagnostics;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Microsoft.Win32.SafeHandles;
using WebVm.Api.Operations;
using WebVm.Api.Persistence.Entities;
using WebVm.Api.Settings;

namespace WebVm.Api.Runs;

/// <summary>
/// What walls this host lets the service build around its monitors: found out once, at the start, by having the keeper build them.
/// </summary>
public sealed partial class MonitorIsolation(IOptions<ServiceOptions> options, ControlGroups groups, ILogger<MonitorIsolation> log)
    : IHostedService
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly Lazy<Task<Isolation>> _best = new(() => Task.Run(async () => groups.Complete(await ProbeAsync(options.Value, log))));

    private SafeFileHandle? _program;

    /// <summary>The best that is to be had here.</summary>
    public Task<Isolation> BestAsync() => _best.Value;

    /// <summary>The least that a machine is started with.</summary>
    public IsolationDemand Demand => options.Value.Isolation;

    /// <summary>Whether monitors are left open to debuggers (WEBVM_MONITOR_DEBUG=1).</summary>
    public bool Debugging => options.Value.DebugsMonitors;

    /// <summary>What to start a machine with.</summary>
    /// <exception cref="OperationFailedException">It is less than what is demanded.</exception>
    public async Task<Isolation> WallsAsync()
    {
        var best = await BestAsync();
        return best.Meets(Demand) ? best : throw new OperationFailedException(Refusal(best));
    }

    /// <summary>Why no machine starts; null when they do.</summary>
    public async Task<string?> RefusalAsync() => await BestAsync() is var best && best.Meets(Demand) ? null : Refusal(best);

    public Task StartAsync(CancellationToken cancellationToken)
    {
        _program = Hold();
        _ = TellAsync();
        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken)
    {
        _program?.Dispose();
        return Task.CompletedTask;
    }

    /// <summary>
    /// Tells builds that this program is still started from (scripts/common.sh, is_held): they cannot look into this process.
    /// </summary>
    private SafeFileHandle? Hold()
    {
        try
        {
            // FileShare.Read takes a shared flock(2).
            return File.OpenHandle(KeeperCommand.Program(options.Value), FileMode.Open, FileAccess.Read, FileShare.Read);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            // Told when the walls are tried.
            return null;
        }
    }

    private string Refusal(Isolation best) =>
        $"No machine starts: WEBVM_ISOLATION demands {Demand.ToString().ToLowerInvariant()}, and this host lets the service build {Describe(best)} only{Obstacles(best)}.";

    private static string Describe(Isolation best) =>
        best.Walls.Count == 0 ? $"\"{best.Level}\"" : $"\"{best.Level}\" ({string.Join(", ", best.Walls)})";

    private static string Obstacles(Isolation best) => best.Obstacles.Count == 0 ? "" : $": {string.Join("; ", best.Obstacles)}";

    private async Task TellAsync()
    {
        var best = await BestAsync();
        string walls = Describe(best);
        if (!best.Meets(Demand))
        {
            string refusal = Refusal(best);
            LogRefused(log, refusal);
        }
        else if (best.Level is Isolation.None or Isolation.Process)
        {
            string obstacles = Obstacles(best);
            LogLittle(log, walls, obstacles);
        }
        else
        {
            LogBest(log, walls);
        }

        if (Debugging)
        {
            LogDebugging(log);
        }
    }

    private static async Task<Isolation> ProbeAsync(ServiceOptions options, ILogger log)
    {
        using var limit = new CancellationTokenSource(Patience);
        try
        {
            var start = KeeperCommand.Start(
                options, ["keep", "--probe", .. Environment.IsPrivilegedProcess
                    ? ["--user", UserRange.Parse(options.MonitorUsers).First.ToString(null, null)]
                    : Array.Empty<string>()]);
            using var probe = System.Diagnostics.Process.Start(start)!;
            probe.StandardInput.Close();
            try
            {
                var complaint = probe.StandardError.ReadToEndAsync(limit.Token);
                string found = await probe.StandardOutput.ReadToEndAsync(limit.Token);
                await probe.WaitForExitAsync(limit.Token);
                if (probe.ExitCode == 0 && Isolation.Parse(found) is { } best)
                {
                    return best;
                }

                LogNotProbed(log, (await complaint).Trim());
            }
            catch (OperationCanceledException)
            {
                probe.Kill();
                LogNotProbed(log, $"no answer within {Patience.TotalSeconds:0} seconds");
            }
        }
        catch (Exception failure) when (failure is IOException or InvalidOperationException or System.ComponentModel.Win32Exception)
        {
            LogNotProbed(log, failure.Message);
        }

        return new Isolation(Isolation.None, []);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Monitors are kept by {Walls}")]
    private static partial void LogBest(ILogger log, string walls);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Monitors are kept by {Walls} only{Obstacles}")]
    private static partial void LogLittle(ILogger log, string walls, string obstacles);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Refusal}")]
    private static partial void LogRefused(ILogger log, string refusal);

    [LoggerMessage(Level = LogLevel.Warning, Message = "WEBVM_MONITOR_DEBUG: monitors may be debugged, and their filters only log")]
    private static partial void LogDebugging(ILogger log);

    [LoggerMessage(Level = LogLevel.Error, Message = "What monitors can be kept by could not be found out: {Reason}")]
    private static partial void LogNotProbed(ILogger log, string reason);
}
