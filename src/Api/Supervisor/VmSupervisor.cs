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
internal sealed partial class VmSupervisor(VmAgentServices services, Hurry hurry, IOptions<ServiceOptions> options, ILogger<VmSupervisor> log) : IHostedService
{
    private readonly ConcurrentDictionary<Guid, Lazy<VmAgent>> _agents = new();

    /// <summary>Raised when a VM is gone for good.</summary>
    public event Action<Guid>? Forgotten;

    public VmAgent Agent(Guid id) => _agents.GetOrAdd(id, key => new Lazy<VmAgent>(() =>
    {
        var agent = new VmAgent(key, services, Gone);
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

        Forgotten?.Invoke(id);
    }

    /// <summary>Somebody asked for a VM that had just been deleted, or another service has deleted it: what was made for it goes again.</summary>
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
            using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, hurry.Token);
            var deadline = TimeSpan.FromSeconds(options.Value.StopDeadlineSeconds);
            LogRetiring(log, options.Value.StopDeadlineSeconds);
            await Task.WhenAll(_agents.Values.Select(agent => RetireAsync(agent.Value, deadline, over.Token)));
        }

        await Task.WhenAll(_agents.Values.Select(agent => agent.Value.DisposeAsync().AsTask()));
    }

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
        foreach (var vm in stopped.Where(vm => vm.Configuration.Autostart.Enabled).OrderBy(vm => vm.Configuration.Autostart.Order).ThenBy(vm => vm.Name, StringComparer.Ordinal))
        {
            delay += TimeSpan.FromSeconds(vm.Configuration.Autostart.DelaySeconds);
            vm.Desired = DesiredPower.On;
            vm.DesiredGeneration++;
            vm.RestartAt = delay == TimeSpan.Zero ? null : DateTimeOffset.UtcNow + delay;
        }

        await database.SaveChangesAsync(cancellation);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Shutting the machines down, within {Seconds} seconds; Ctrl-C again switches them off")]
    private static partial void LogRetiring(ILogger log, int seconds);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The files of VM {Id}, which is gone, are still there: {Reason}")]
    private static partial void LogNotForgotten(ILogger log, Guid id, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "A VM did not stop with the service")]
    private static partial void LogNotStopped(ILogger log, Exception failure);
}
