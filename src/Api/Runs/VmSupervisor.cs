using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;
using WebVm.Api.Settings;
using WebVm.Vmm.Control;

namespace WebVm.Api.Runs;

/// <summary>
/// Has an agent for every VM that has something to do: one that runs, one that is not yet as it is desired to be, and one that somebody
/// uses (<see cref="Use"/>). An agent whose VM is at rest goes when nobody uses it; whoever wakes the VM or uses it next gets a new one.
/// </summary>
internal sealed partial class VmSupervisor(
    VmAgentServices services, Hurry hurry, IOptions<ServiceOptions> options, ILogger<VmSupervisor> log) : IHostedService
{
    // Under the lock an agent is found and woken, or found idle and taken out: a wake never goes to one that has gone.
    private readonly Lock _lock = new();
    private readonly Dictionary<Guid, Entry> _agents = [];

    /// <summary>Raised when a VM is gone for good.</summary>
    public event Action<Guid>? Forgotten;

    /// <summary>Agents that there are.</summary>
    public int Agents
    {
        get
        {
            lock (_lock)
            {
                return _agents.Count;
            }
        }
    }

    /// <summary>The VM's agent, which stays until the lease is disposed.</summary>
    public AgentLease Use(Guid id)
    {
        lock (_lock)
        {
            var entry = Find(id);
            entry.Users++;
            return new AgentLease(entry.Agent, () => Release(entry));
        }
    }

    /// <summary>The connection to the VM's monitor; null when none runs. Whatever runs has an agent.</summary>
    public ControlClient? Client(Guid id)
    {
        lock (_lock)
        {
            return _agents.GetValueOrDefault(id)?.Agent.Client;
        }
    }

    /// <summary>The process of the VM's monitor; null when none is connected.</summary>
    public int? MonitorId(Guid id)
    {
        lock (_lock)
        {
            return _agents.GetValueOrDefault(id)?.Agent is { Client: not null } agent ? agent.MonitorId : null;
        }
    }

    /// <summary>Something about the VM has changed in the database.</summary>
    public void Wake(Guid id)
    {
        lock (_lock)
        {
            Find(id).Agent.Wake();
        }
    }

    /// <summary>The VM is gone from the database; its agent follows.</summary>
    public async Task ForgetAsync(Guid id)
    {
        Entry? entry;
        lock (_lock)
        {
            _agents.Remove(id, out entry);
        }

        if (entry is not null)
        {
            await entry.Agent.DisposeAsync();
        }

        Forgotten?.Invoke(id);
    }

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await using var database = await services.Databases.CreateDbContextAsync(cancellationToken);
        if (IsNewHostStart())
        {
            await AutostartAsync(database, cancellationToken);
        }

        // A state on disk that its VM is not to go on from is discarded; the database does not know of it.
        var withState = services.Files.WithSavedState();
        var busy = database.Vms.Where(vm => vm.RunId != null || vm.Desired == DesiredPower.On || vm.Desired == DesiredPower.Paused
            || (vm.Desired == DesiredPower.Off
                && (withState.Contains(vm.Id)
                    || (vm.Observed != ObservedPower.Off && vm.Observed != ObservedPower.Crashed && vm.Observed != ObservedPower.Failed)))
            || (vm.Desired == DesiredPower.Saved && (vm.Observed != ObservedPower.Saved || !withState.Contains(vm.Id))));
        foreach (var id in await busy.Select(vm => vm.Id).ToListAsync(cancellationToken))
        {
            Wake(id);
        }
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        VmAgent[] agents;
        lock (_lock)
        {
            agents = [.. _agents.Values.Select(entry => entry.Agent)];
        }

        if (!options.Value.KeepRunning)
        {
            using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, hurry.Token);
            var deadline = TimeSpan.FromSeconds(options.Value.StopDeadlineSeconds);
            LogRetiring(log, options.Value.StopDeadlineSeconds);
            await Task.WhenAll(agents.Select(agent => RetireAsync(agent, deadline, over.Token)));
        }

        await Task.WhenAll(agents.Select(agent => agent.DisposeAsync().AsTask()));
    }

    /// <summary>The VM's entry, with a new agent if it has none. Under the lock.</summary>
    private Entry Find(Guid id)
    {
        if (!_agents.TryGetValue(id, out var entry))
        {
            _agents[id] = entry = new Entry(new VmAgent(id, services, Gone, TryDismiss));
            entry.Agent.Start();
        }

        return entry;
    }

    private void Release(Entry entry)
    {
        lock (_lock)
        {
            // It looks once more, finds its VM at rest, and goes.
            if (--entry.Users == 0)
            {
                entry.Agent.Wake();
            }
        }
    }

    /// <summary>Lets an agent go whose VM is at rest; false when somebody uses it, or woke it since it looked.</summary>
    private bool TryDismiss(VmAgent agent)
    {
        lock (_lock)
        {
            if (!_agents.TryGetValue(agent.Id, out var entry) || entry.Agent != agent || entry.Users > 0 || agent.IsWoken)
            {
                return false;
            }

            // The next agent opens the same files.
            agent.Close();
            _agents.Remove(agent.Id);
            return true;
        }
    }

    /// <summary>
    /// Somebody asked for a VM that had just been deleted, or another service has deleted it: what was made for it goes again.
    /// </summary>
    private void Gone(Guid id) => _ = Task.Run(async () =>
    {
        try
        {
            await ForgetAsync(id);
            services.Files.Delete(id);
        }
        catch (IOException failure)
        {
            LogNotForgotten(log, id, failure.Message);
        }
    });

    private async Task RetireAsync(VmAgent agent, TimeSpan deadline, CancellationToken hurry)
    {
        try
        {
            await agent.RetireAsync(deadline, hurry);
        }
        catch (Exception failure)
        {
            // The others are to be shut down all the same; this one is found by the next start.
            LogNotStopped(log, failure);
        }
    }

    /// <summary>Machines that start with the host are started when the host has, not whenever the service does.</summary>
    private bool IsNewHostStart()
    {
        string remembered = Path.Combine(options.Value.Data, "host-boot");
        string current = File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();
        if (File.Exists(remembered) && File.ReadAllText(remembered) == current)
        {
            return false;
        }

        File.WriteAllText(remembered, current);
        return true;
    }

    private static async Task AutostartAsync(WebVmDbContext database, CancellationToken cancellation)
    {
        var delay = TimeSpan.Zero;
        var stopped = await database.Vms.Where(vm => vm.Desired == DesiredPower.Off && !vm.Deleting).ToListAsync(cancellation);
        foreach (var vm in stopped.Where(vm => vm.Configuration.Autostart.Enabled).OrderBy(vm => vm.Configuration.Autostart.Order)
            .ThenBy(vm => vm.Name, StringComparer.Ordinal))
        {
            delay += TimeSpan.FromSeconds(vm.Configuration.Autostart.DelaySeconds);
            vm.Desired = DesiredPower.On;
            vm.DesiredGeneration++;
            vm.RestartAt = delay == TimeSpan.Zero ? null : DateTimeOffset.UtcNow + delay;
        }

        await database.SaveChangesAsync(cancellation);
    }

    [LoggerMessage(Level = LogLevel.Information,
        Message = "Shutting the machines down, within {Seconds} seconds; Ctrl-C again switches them off")]
    private static partial void LogRetiring(ILogger log, int seconds);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The files of VM {Id}, which is gone, are still there: {Reason}")]
    private static partial void LogNotForgotten(ILogger log, Guid id, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "A VM did not stop with the service")]
    private static partial void LogNotStopped(ILogger log, Exception failure);

    private sealed class Entry(VmAgent agent)
    {
        public VmAgent Agent { get; } = agent;

        public int Users { get; set; }
    }
}

/// <summary>The use of an agent, until it is disposed.</summary>
internal sealed class AgentLease(VmAgent agent, Action release) : IDisposable
{
    private Action? _release = release;

    public VmAgent Agent { get; } = agent;

    public void Dispose() => Interlocked.Exchange(ref _release, null)?.Invoke();
}
