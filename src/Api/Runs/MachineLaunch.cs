using System.Diagnostics;
using Microsoft.Extensions.Logging;
using WebVm.Api.Conventions;
using WebVm.Api.Operations;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;
using WebVm.Api.Settings;

namespace WebVm.Api.Runs;

/// <summary>The first step of a VM's run: its folder, its promise of memory, its keeper.</summary>
internal sealed partial class MachineLaunch(Guid id, VmAgentServices services, PowerRecord record)
{
    /// <summary>How long a monitor may take until it answers.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    // A native monitor's socket is there 7 ms after its launch; others, and those of a busy host, may take their time.
    private static readonly TimeSpan QuickStart = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan QuickPoll = TimeSpan.FromMilliseconds(1);

    private long _launchedAt;
    private Task<KeeperFailure?>? _keeper;

    /// <summary>Of the host's memory, since the present run was launched.</summary>
    public string? Shortage { get; private set; }

    /// <summary>Launches the run, or looks what has become of it. A monitor that starts soon is waited for.</summary>
    /// <returns>The run's end, where it could not begin; null while it may.</returns>
    public async Task<RunEnd?> StepAsync(WebVmDbContext database, Vm vm, RunDirectory run, CancellationToken cancellation)
    {
        try
        {
            if (_keeper is { IsCompletedSuccessfully: true } keeper && await keeper is { } failed)
            {
                return RunEnd.Of(failed);
            }

            // Only between this and the keeper's record may a killed service leave a run without a process: it is launched again.
            if (_launchedAt == 0 || Stopwatch.GetElapsedTime(_launchedAt) > Patience)
            {
                string saved = services.Files.Saved(id);
                await PromiseMemoryAsync(database, vm, cancellation);
                var input = await services.Specs.PrepareAsync(run, vm, Directory.Exists(saved) ? saved : null, database, cancellation);
                _keeper = await services.Launcher.LaunchAsync(run, input);
                _launchedAt = Stopwatch.GetTimestamp();
                while (!File.Exists(run.Control) && Stopwatch.GetElapsedTime(_launchedAt) < QuickStart)
                {
                    await Task.Delay(QuickPoll, cancellation);
                }
            }

            return null;
        }
        catch (OperationFailedException failure)
        {
            return new RunEnd(true, true, failure.Message);
        }
        catch (IOException failure)
        {
            return new RunEnd(true, false, DiskTrouble.Describe(failure));
        }
    }

    /// <summary>
    /// Whether the monitor should have answered by now. One that a service before this one launched has its time from the first question
    /// on.
    /// </summary>
    public bool IsOverdue()
    {
        _launchedAt = _launchedAt == 0 ? Stopwatch.GetTimestamp() : _launchedAt;
        return Stopwatch.GetElapsedTime(_launchedAt) >= Patience;
    }

    /// <summary>The run is over.</summary>
    public void Forget() => (_launchedAt, _keeper, Shortage) = (0, null, null);

    /// <exception cref="OperationFailedException">The host has not enough, and the service is to start nothing then.</exception>
    private async Task PromiseMemoryAsync(WebVmDbContext database, Vm vm, CancellationToken cancellation)
    {
        Shortage = services.Memory.Promise(id, (vm.RunningConfiguration ?? vm.Configuration).Memory);
        if (Shortage is null)
        {
            return;
        }

        if (services.Memory.Policy == MemoryOvercommit.Refuse)
        {
            throw new OperationFailedException(Shortage);
        }

        LogShortage(services.Log, id, Shortage);
        await record.ObserveAsync(database, vm, vm.Observed, Shortage, cancellation);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "VM {Id} is started beyond the host's memory (WEBVM_MEMORY_OVERCOMMIT): {Shortage}")]
    private static partial void LogShortage(ILogger log, Guid id, string shortage);
}
