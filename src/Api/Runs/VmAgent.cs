using System.Diagnostics;
using System.Threading.Channels;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Logging;
using WebVm.Api.Conventions;
using WebVm.Api.Operations;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;
using WebVm.Api.Settings;
using WebVm.Vmm.Control;
using WebVm.Vmm.Machine.Lifecycle;

namespace WebVm.Api.Runs;

/// <summary>
/// Drives one VM from what is observed to what is desired, one step at a time. Everything it needs to know is in the database and the
/// run directory, so that it may be killed between any two steps and go on in another process.
/// </summary>
internal sealed partial class VmAgent : IAsyncDisposable
{
    /// <summary>Bytes of a failed monitor's log that go into the service's: the stack of a fault.</summary>
    private const int CrashWords = 4096;

    private static readonly TimeSpan Heartbeat = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan StartPoll = TimeSpan.FromMilliseconds(25);

    private static readonly TimeSpan RetryDelay = TimeSpan.FromSeconds(1);

    private const string Unkept =
        "The keeper of the monitor was killed: the machine goes on, but neither how it ends nor what its monitor prints will be known.";

    private readonly Guid _id;
    private readonly VmAgentServices _services;
    private readonly Action<Guid> _gone;
    private readonly Func<VmAgent, bool> _dismiss;
    private readonly Channel<bool> _wake = Channel.CreateBounded<bool>(
        new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly CancellationTokenSource _stop = new();
    private readonly StepPace _pace = new();
    private readonly PowerRecord _record;
    private readonly MonitorLink _link;
    private readonly MachineLaunch _launch;
    private readonly MachineSaving _saving;
    private readonly Lock _serialLock = new();
    private SerialJournal? _serial;
    private bool _serialClosed;
    private Task _loop = Task.CompletedTask;
    private volatile TaskCompletionSource _changed = NewSignal();

    /// <param name="gone">Told when there is no such VM any more.</param>
    /// <param name="dismiss">Asked when the VM is at rest; true when the agent has gone, closed.</param>
    public VmAgent(Guid id, VmAgentServices services, Action<Guid> gone, Func<VmAgent, bool> dismiss)
    {
        (_id, _services, _gone, _dismiss) = (id, services, gone, dismiss);
        _record = new PowerRecord(id, services.Paths);
        _link = new MonitorLink(() => Serial, Wake);
        _launch = new MachineLaunch(id, services, _record);
        _saving = new MachineSaving(id, services, _record, _pace, _wake);
    }

    public Guid Id => _id;

    /// <summary>Whether it was woken since it last looked.</summary>
    public bool IsWoken => _wake.Reader.TryPeek(out _);

    /// <summary>How much of a save under way is done, in percent.</summary>
    public int SaveProgress => _saving.Progress;

    /// <summary>Opened when it is first wanted.</summary>
    /// <exception cref="ObjectDisposedException">The VM is gone.</exception>
    public SerialJournal Serial
    {
        get
        {
            lock (_serialLock)
            {
                ObjectDisposedException.ThrowIf(_serialClosed, this);
                return _serial ??= new SerialJournal(_services.Files.Folder(_id));
            }
        }
    }

    /// <summary>The connection to the running monitor; null when there is none.</summary>
    public ControlClient? Client => _link.Client;

    /// <summary>The process of the connected monitor, for its use of processor and memory.</summary>
    public int? MonitorId => _link.MonitorId;

    /// <summary>Completes after the agent has next seen or done something.</summary>
    public Task Changed => _changed.Task;

    public void Start() => _loop = Task.Run(LoopAsync);

    public void Wake() => _wake.Writer.TryWrite(true);

    /// <summary>
    /// Takes the machine along when the service stops. What is desired stays, so the next start of the service starts the machine again.
    /// </summary>
    public async Task RetireAsync(TimeSpan deadline, CancellationToken hurry)
    {
        await EndLoopAsync();
        await using var database = await _services.Databases.CreateDbContextAsync(CancellationToken.None);
        if (await database.Vms.AsNoTracking().SingleOrDefaultAsync(v => v.Id == _id, CancellationToken.None) is { RunId: { } runId } vm)
        {
            var run = _services.Files.Run(runId);
            bool went = await MonitorEnd.ShutDownAsync(run, _link.Of(vm), deadline, hurry);
            await _link.HearOutAsync(CancellationToken.None);
            await FinishRunAsync(
                database, vm, run, _ => (ObservedPower.Off, went ? "Shut down with the service." : "Switched off with the service."),
                CancellationToken.None);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await EndLoopAsync();
        Close();
        _stop.Dispose();
    }

    /// <summary>Lets go of the monitor and of the VM's files.</summary>
    public void Close()
    {
        _link.Detach();
        lock (_serialLock)
        {
            _serialClosed = true;
            _serial?.Dispose();
        }
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private async Task EndLoopAsync()
    {
        await _stop.CancelAsync();
        await _loop;
    }

    private async Task LoopAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            var pause = Heartbeat;
            try
            {
                await _pace.TakeAsync(_stop.Token);
                // Whatever woke it up to here, the step sees.
                _wake.Reader.TryRead(out _);
                pause = await StepAsync(_stop.Token);
            }
            catch (OperationCanceledException) when (_stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception failure)
            {
                LogStepFailed(_services.Log, failure, _id);
                pause = RetryDelay;
            }

            Interlocked.Exchange(ref _changed, NewSignal()).TrySetResult();
            if (pause == Timeout.InfiniteTimeSpan && _dismiss(this))
            {
                return;
            }

            using var wait = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
            wait.CancelAfter(pause);
            try
            {
                await _wake.Reader.WaitToReadAsync(wait.Token);
            }
            catch (OperationCanceledException)
            {
                // The pause is over, or the agent is stopped.
            }
        }
    }

    /// <summary>Looks, and does the next thing. Returns how long it may be before looking again.</summary>
    private async Task<TimeSpan> StepAsync(CancellationToken cancellation)
    {
        await using var database = await _services.Databases.CreateDbContextAsync(cancellation);
        var vm = await database.Vms.AsNoTracking().SingleOrDefaultAsync(v => v.Id == _id, cancellation);
        if (vm is null)
        {
            _link.Detach();
            _gone(_id);
            return Timeout.InfiniteTimeSpan;
        }

        return vm.RunId is null ? await WithoutRunAsync(database, vm, cancellation) : await WithRunAsync(database, vm, cancellation);
    }

    private async Task<TimeSpan> WithoutRunAsync(WebVmDbContext database, Vm vm, CancellationToken cancellation)
    {
        _link.Detach();
        if (vm.Deleting || vm.Desired is DesiredPower.Off or DesiredPower.Saved)
        {
            if (vm.Desired == DesiredPower.Off && Directory.Exists(_services.Files.Saved(_id)))
            {
                await database.InTransactionAsync(() => DiscardSavedAsync(database, cancellation), cancellation);
            }

            var rest = vm.Desired == DesiredPower.Saved && Directory.Exists(_services.Files.Saved(_id))
                ? ObservedPower.Saved
                : ObservedPower.Off;
            if (vm.Observed != rest && !(rest == ObservedPower.Off && vm.Observed is ObservedPower.Crashed or ObservedPower.Failed))
            {
                await _record.ObserveAsync(database, vm, rest, null, cancellation);
            }

            // A machine at rest changes only by requests, which wake its agent.
            return Timeout.InfiniteTimeSpan;
        }

        if (vm.RestartAt is { } at && at > DateTimeOffset.UtcNow)
        {
            var left = at - DateTimeOffset.UtcNow;
            return left < Heartbeat ? left : Heartbeat;
        }

        // Whoever sets the run id first starts the machine.
        string runId = RunDirectory.NewId();
        int mine = await database.Vms.Where(v => v.Id == _id && v.RunId == null && v.DesiredGeneration == vm.DesiredGeneration)
            .ExecuteUpdateAsync(
                set => set.SetProperty(v => v.RunId, runId).SetProperty(v => v.RunningConfiguration, vm.Configuration)
                    .SetProperty(v => v.RestartAt, (DateTimeOffset?)null),
                cancellation);
        if (mine == 1)
        {
            vm.RunId = runId;
            await _record.ObserveAsync(database, vm, ObservedPower.Starting, null, cancellation);
        }

        return TimeSpan.Zero;
    }

    /// <summary>
    /// A VM that was switched off does not go on from a state. Under the row's lock: a snapshot that is being restored puts one there just
    /// before it commits.
    /// </summary>
    private async Task<bool> DiscardSavedAsync(WebVmDbContext database, CancellationToken cancellation)
    {
        if (await database.LockVmAsync(_id, cancellation) is { RunId: null, Desired: DesiredPower.Off })
        {
            StateFolder.Delete(_services.Files.Saved(_id));
        }

        return true;
    }

    private async Task<TimeSpan> WithRunAsync(WebVmDbContext database, Vm vm, CancellationToken cancellation)
    {
        var run = _services.Files.Run(vm.RunId!);
        if (run.ReadExitCode() is { } code)
        {
            await EndAsync(database, vm, run, RunEnd.From(code, run.LogTail()), cancellation);
            return TimeSpan.Zero;
        }

        if (vm.Desired is DesiredPower.Off || vm.Deleting)
        {
            await _record.ObserveAsync(database, vm, ObservedPower.Stopping, null, cancellation);
            await MonitorEnd.StopAsync(run, _link.Of(vm), cancellation);
            await EndAsync(database, vm, run, new RunEnd(false, false, "Switched off."), cancellation);
            return TimeSpan.Zero;
        }

        if (!run.Launched && !run.IsAlive())
        {
            return await LaunchAsync(database, vm, run, cancellation);
        }

        if (_link.Of(vm) is not { } client)
        {
            return await AttachAsync(database, vm, run, cancellation);
        }

        try
        {
            return await DriveAsync(database, vm, run, client, cancellation);
        }
        catch (Exception silence) when (silence is TimeoutException or ControlTimeoutException)
        {
            // Stopped from outside, or the host is overloaded: there is nothing to do but to ask again.
            _link.Detach();
            await _record.ObserveSilenceAsync(database, vm, cancellation);
            return RetryDelay;
        }
        catch (Exception ending) when (ending is ControlException || (ending is IOException && client.Closed.IsCompleted))
        {
            // The machine ends in this moment, and its exit code tells how. Trouble with our own files is another matter, and logged.
            return RetryDelay;
        }
    }

    private async Task<TimeSpan> LaunchAsync(WebVmDbContext database, Vm vm, RunDirectory run, CancellationToken cancellation)
    {
        if (await _launch.StepAsync(database, vm, run, cancellation) is not { } end)
        {
            return File.Exists(run.Control) ? TimeSpan.Zero : StartPoll;
        }

        await EndAsync(database, vm, run, end, cancellation);
        return TimeSpan.Zero;
    }

    private async Task<TimeSpan> AttachAsync(WebVmDbContext database, Vm vm, RunDirectory run, CancellationToken cancellation)
    {
        _link.Detach();
        if (!run.IsAlive())
        {
            // The exit code may have been written since we looked.
            await EndAsync(database, vm, run, RunEnd.From(run.ReadExitCode(), run.LogTail()), cancellation);
            return TimeSpan.Zero;
        }

        try
        {
            await _link.ConnectAsync(run, vm.RunId!, cancellation);
            _services.Memory.Hold(_id, (vm.RunningConfiguration ?? vm.Configuration).Memory, MonitorId);
            var isolation = run.ReadRecord() is { } record ? new Isolation(record.Level, record.Walls) : null;
            await database.Vms.Where(v => v.Id == _id && v.RunId == vm.RunId)
                .ExecuteUpdateAsync(set => set.SetProperty(v => v.Isolation, isolation), cancellation);
            return TimeSpan.Zero;
        }
        catch (Exception failure) when (failure is IOException or TimeoutException or ControlException)
        {
            if (vm.StartedAt is not null)
            {
                // It ran, and may do so again: a process that was stopped, or a host with too much to do.
                await _record.ObserveSilenceAsync(database, vm, cancellation);
                return RetryDelay;
            }

            if (!_launch.IsOverdue())
            {
                return StartPoll;
            }

            LogUnreachable(_services.Log, _id, failure.Message);
            run.KillAll();
            await EndAsync(
                database, vm, run, new RunEnd(
                    true, false, $"The monitor did not answer within {MachineLaunch.Patience.TotalSeconds:0} seconds."),
                cancellation);
            return TimeSpan.Zero;
        }
    }

    private async Task<TimeSpan> DriveAsync(
        WebVmDbContext database, Vm vm, RunDirectory run, ControlClient client, CancellationToken cancellation)
    {
        MachineStatus status;
        try
        {
            status = await client.StatusAsync().WaitAsync(MonitorLink.AnswerPatience, cancellation);
        }
        catch (IOException lost) when (lost is not ControlTimeoutException)
        {
            return StartPoll;
        }

        if (status.State == MachineState.Created)
        {
            return StartPoll;
        }

        if (vm.Desired != DesiredPower.Saved)
        {
            // Used up, or of a save that was overtaken: a start from it would take the guest back in time.
            StateFolder.Delete(_services.Files.Saved(_id));
        }

        if (vm.StartedAt is null)
        {
            vm.StartedAt = DateTimeOffset.UtcNow;
            await database.Vms.Where(v => v.Id == _id && v.RunId == vm.RunId)
                .ExecuteUpdateAsync(set => set.SetProperty(v => v.StartedAt, vm.StartedAt), cancellation);
        }

        bool paused = status.State == MachineState.Paused;
        switch (vm.Desired)
        {
            case DesiredPower.Saved:
                if (await _saving.SaveAsync(database, vm, run, client, paused, cancellation))
                {
                    await MonitorEnd.StopAsync(run, client, cancellation);
                    await _link.HearOutAsync(cancellation);
                    await FinishRunAsync(database, vm, run, _ => (ObservedPower.Saved, null), cancellation);
                }

                return TimeSpan.Zero;
            case DesiredPower.Paused when !paused:
                await client.PauseAsync().WaitAsync(cancellation);
                return TimeSpan.Zero;
            case DesiredPower.On when paused:
                await client.ResumeAsync().WaitAsync(cancellation);
                return TimeSpan.Zero;
        }

        var seen = paused ? ObservedPower.Paused : ObservedPower.Running;
        if (!run.IsKept())
        {
            await _record.ObserveAsync(database, vm, seen, Unkept, cancellation);
        }
        else if (vm.Observed != seen || vm.Silent)
        {
            await _record.ObserveAsync(database, vm, seen, _launch.Shortage, cancellation);
        }

        return Heartbeat;
    }

    /// <summary>Draws the consequences of a run's end: rest, or restart after a pause that grows.</summary>
    private async Task EndAsync(WebVmDbContext database, Vm vm, RunDirectory run, RunEnd end, CancellationToken cancellation)
    {
        run.KillAll();
        await _link.HearOutAsync(cancellation);
        if (end.Crashed)
        {
            LogCrashed(_services.Log, _id, end.Reason, run.LogTail(CrashWords));
        }

        end = end with { Reason = _services.Paths.Hide(end.Reason) };
        // What could not even be built has nothing to show but its reason.
        var crash = end is { Crashed: true, Hopeless: false }
            ? CrashReport.Keep(_link.LastScreen, Serial, _services.Files.Crash(_id), end.Reason)
            : null;
        await FinishRunAsync(
            database, vm, run,
            now =>
            {
                now.LastCrash = crash ?? now.LastCrash;
                return end.Conclude(now, vm.DesiredGeneration, hasState: Directory.Exists(_services.Files.Saved(_id)));
            },
            cancellation);
    }

    /// <summary>Takes the run off the VM, and everything of it off the host.</summary>
    private async Task FinishRunAsync(
        WebVmDbContext database, Vm vm, RunDirectory run, Func<Vm, (ObservedPower Seen, string? Reason)> conclude,
        CancellationToken cancellation)
    {
        _link.Detach();
        await _record.FinishRunAsync(database, vm.RunId!, conclude, cancellation);
        _link.Forget();
        _launch.Forget();
        _services.Memory.Release(_id);
        await _services.Groups.EndAsync(run);
        run.Delete();
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "VM {Id}: a step failed and will be repeated")]
    private static partial void LogStepFailed(ILogger log, Exception failure, Guid id);

    [LoggerMessage(Level = LogLevel.Warning, Message = "VM {Id}: its monitor cannot be reached and is killed: {Reason}")]
    private static partial void LogUnreachable(ILogger log, Guid id, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "VM {Id}: its run has failed: {Reason} {Output}")]
    private static partial void LogCrashed(ILogger log, Guid id, string reason, string output);
}

/// <summary>What every agent needs.</summary>
internal sealed record VmAgentServices(
    IDbContextFactory<WebVmDbContext> Databases, VmFiles Files, SpecWriter Specs, MonitorLauncher Launcher, ControlGroups Groups,
    HostPaths Paths, MemoryBudget Memory, ILogger<VmAgent> Log);
