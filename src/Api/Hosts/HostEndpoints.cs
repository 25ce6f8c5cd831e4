using System.Globalization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Options;
using WebVm.Api.Conventions;
using WebVm.Api.Identity;
using WebVm.Api.Metrics;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;
using WebVm.Api.Settings;
using WebVm.Api.Runs;
using WebVm.Api.Vms;
using WebVm.Vmm.Cpu.Measurement;
using WebVm.Vmm.Host;

namespace WebVm.Api.Hosts;

/// <summary><c>/hosts</c>: the machines that VMs run on.</summary>
public static class HostEndpoints
{
    public static void MapHosts(this IEndpointRouteBuilder api)
    {
        var group = api.MapGroup("/hosts").WithTags("Hosts").RequireScope(Scopes.VmsRead);
        group.MapGet("/", ListAsync).WithSummary("List hosts");
        group.MapGet("/{id}", GetAsync).WithSummary("Read a host: what it offers, measured, and its load");
    }

    private static async Task<Ok<Page<HostView>>> ListAsync(LocalHost host, CancellationToken cancellation) =>
        TypedResults.Ok(new Page<HostView>([await host.ReadAsync(cancellation)], null));

    private static async Task<Results<Ok<HostView>, ProblemHttpResult>> GetAsync(
        string id, LocalHost host, CancellationToken cancellation) =>
        id == LocalHost.Id || id == Environment.MachineName
            ? TypedResults.Ok(await host.ReadAsync(cancellation))
            : Problems.NotFound("host", id);
}

/// <summary>The host that this service runs on. What it can do is measured once, in the background of the first question.</summary>
internal sealed class LocalHost(
    IDbContextFactory<WebVmDbContext> databases, MetricsSampler metrics, MemoryBudget budget, MonitorIsolation isolation,
    IOptions<ServiceOptions> options)
{
    public const string Id = "local";

    private readonly Lazy<Task<HostProbe>> _probe = new(() => Task.Run(HostProbe.Measure));

    public async Task<HostView> ReadAsync(CancellationToken cancellation)
    {
        await using var database = await databases.CreateDbContextAsync(cancellation);
        var states = await database.CountByStateAsync(cancellation);
        var latest = metrics.Latest();
        string[] load = (await File.ReadAllTextAsync("/proc/loadavg", cancellation)).Split(' ');
        var memory = HostMemory.Read();
        var disk = new DriveInfo(options.Value.Data);
        var walls = await isolation.BestAsync().WaitAsync(cancellation);
        var kept = new HostIsolation(walls.Level, walls.Walls, isolation.Demand, await isolation.RefusalAsync(), isolation.Debugging);
        return new HostView(Id, Environment.MachineName, await _probe.Value.WaitAsync(cancellation), kept, new HostLoad(
            Environment.ProcessorCount, double.Parse(load[0], CultureInfo.InvariantCulture), memory.Total, memory.Available,
            Math.Max(0, budget.Left), budget.Policy, disk.TotalSize, disk.AvailableFreeSpace,
            states.Values.Sum(), states.GetValueOrDefault(ObservedPower.Running), states, latest.Values.Sum(sample => sample.CpuPercent),
            latest.Values.Sum(sample => sample.ResidentBytes), Environment.WorkingSet));
    }
}

/// <param name="Capabilities">What <c>webvm-vmm probe</c> finds.</param>
/// <param name="Isolation">What the host lets the service build around monitors.</param>
public sealed record HostView(string Id, string Name, HostProbe Capabilities, HostIsolation Isolation, HostLoad Load);

/// <summary>What machines that start now are kept by.</summary>
/// <param name="Level">"users" (a uid of its own for each machine), "namespaces", "process" or "none".</param>
/// <param name="Walls">What stands between a monitor and the host: user, uid, pid, mount, net, ipc, uts, root, landlock:N, seccomp. What
/// does not is absent.</param>
/// <param name="Demanded">The least that a machine is started with (WEBVM_ISOLATION).</param>
/// <param name="Refusal">Why no machine starts; null when they do.</param>
/// <param name="Debugging">Whether monitors are left open to debuggers (WEBVM_MONITOR_DEBUG): then no filter holds.</param>
public sealed record HostIsolation(string Level, IReadOnlyList<string> Walls, IsolationDemand Demanded, string? Refusal, bool Debugging);

/// <summary>How busy a host is. Memory and disk in bytes; CPU percent counts 100 for each core.</summary>
/// <param name="MemoryLeft">What is available beside what the running machines may still take of theirs.</param>
/// <param name="MemoryOvercommit">What happens when a machine is started that may take more than is left.</param>
/// <param name="RunningVms">VMs whose guest runs: not those that are paused, starting or being saved.</param>
/// <param name="VmStates">VMs by state; only the states that some VM is in.</param>
/// <param name="VmCpuPercent">Of the monitors of all VMs that have one, paused ones too.</param>
/// <param name="VmResidentBytes">Of the monitors of all VMs that have one, paused ones too.</param>
public sealed record HostLoad(
    int Cores, double LoadAverage, long MemoryTotal, long MemoryAvailable, long MemoryLeft, MemoryOvercommit MemoryOvercommit,
    long DiskTotal, long DiskAvailable,
    int Vms, int RunningVms, IReadOnlyDictionary<ObservedPower, int> VmStates, double VmCpuPercent, long VmResidentBytes,
    long ServiceResidentBytes);
