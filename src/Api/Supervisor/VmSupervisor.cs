using System.Collections.Concurrent;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using WebVm.Api.Hosting;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Supervisor;

/// <summary>Has one agent for every VM, from the service's start on: found monitors are attached to, missing ones started.</summary>
internal sealed partial class VmSupervisor(VmAgentServices services, IOptions<ServiceOptions> options, ILogger<VmSupervisor> log) : IHostedService
{
    private readonly ConcurrentDictionary<Guid, Lazy<VmAgent>> _agents = new();

    public VmAgent Agent(Guid id) => _agents.GetOrAdd(id, key => new Lazy<VmAgent>(() =>
    {
        var agent = new VmAgent(key, services);
        agent.Start();
        return agent;
    })).Value;

    /// <summary>Something about the VM has changed in the database.</summary>
    public void Wake(Guid id) => Agent(id).Wake();

    /// <summary>The VM is gone from the database; its agent follows.</summary>
    public async Task ForgetAsync(Guid id)
    {
        if (_agents.TryRemove(id, out var agent))
        {
            await agent.Value.DisposeAsync();
        }
    }

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await using var database = await services.Databases.CreateDbContextAsync(cancellationToken);
        if (IsNewHostStart())
        {
            await AutostartAsync(database, cancellationToken);
        }

        foreach (var id in await database.Vms.Select(vm => vm.Id).ToListAsync(cancellationToken))
        {
            Agent(id);
        }
    }

    public async Task StopAsync(CancellationToken cancellationToken)
    {
        if (!options.Value.KeepRunning)
        {
            await PowerOffAllAsync(cancellationToken);
        }

        await Task.WhenAll(_agents.Values.Select(agent => agent.Value.DisposeAsync().AsTask()));
    }

    /// <summary>Asks every guest to shut down, waits a little, and leaves the rest to be stopped hard.</summary>
    private async Task PowerOffAllAsync(CancellationToken cancellation)
    {
        foreach (var agent in _agents.Values)
        {
            if (agent.Value.Client is { } client)
            {
                try
                {
                    await client.StopAsync().WaitAsync(cancellation);
                }
                catch (Exception failure) when (failure is IOException or OperationCanceledException)
                {
                    LogNotStopped(log, failure.Message);
                }
            }
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
        foreach (var vm in stopped.Where(vm => vm.Configuration.Autostart.Enabled).OrderBy(vm => vm.Configuration.Autostart.Order).ThenBy(vm => vm.Name, StringComparer.Ordinal))
        {
            delay += TimeSpan.FromSeconds(vm.Configuration.Autostart.DelaySeconds);
            vm.Desired = DesiredPower.On;
            vm.DesiredGeneration++;
            vm.RestartAt = delay == TimeSpan.Zero ? null : DateTimeOffset.UtcNow + delay;
        }

        await database.SaveChangesAsync(cancellation);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "A VM did not stop with the service: {Reason}")]
    private static partial void LogNotStopped(ILogger log, string reason);
}
