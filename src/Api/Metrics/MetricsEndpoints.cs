using System.Globalization;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Conventions;
using WebVm.Api.Identity;
using WebVm.Api.Persistence;
using WebVm.Vmm.Control;

namespace WebVm.Api.Metrics;

/// <summary><c>/vms/{id}/metrics</c> and <c>/metrics</c> in Prometheus' text format (exposition format 0.0.4).</summary>
public static class MetricsEndpoints
{
    public static void MapMetrics(this IEndpointRouteBuilder api) =>
        api.MapGet("/vms/{id:guid}/metrics", ReadAsync).RequireScope(Scopes.VmsRead).WithTags("Metrics").WithSummary("Samples of the last 15 minutes, oldest first");

    public static void MapPrometheus(this IEndpointRouteBuilder root) =>
        root.MapGet("/metrics", WritePrometheusAsync).RequireScope(Scopes.VmsRead).ExcludeFromDescription();

    private static async Task<Results<Ok<VmMetricsView>, ProblemHttpResult>> ReadAsync(Guid id, WebVmDbContext database, MetricsSampler source, CancellationToken cancellation) =>
        await database.Vms.AnyAsync(vm => vm.Id == id, cancellation)
            ? TypedResults.Ok(new VmMetricsView(MetricsSampler.Interval.TotalSeconds, source.Read(id)))
            : Problems.NotFound("VM", id);

    private static async Task<IResult> WritePrometheusAsync(WebVmDbContext database, MetricsSampler source, CancellationToken cancellation)
    {
        var names = await database.Vms.AsNoTracking().Select(vm => new { vm.Id, vm.Name, vm.Observed }).ToListAsync(cancellation);
        var latest = source.Latest();
        var text = new StringBuilder();
        Family(text, "webvm_vms", "gauge", "Virtual machines by state.",
            names.GroupBy(vm => vm.Observed).Select(group => ($"state=\"{group.Key.ToString().ToLowerInvariant()}\"", (double)group.Count())));
        var running = names.Where(vm => latest.ContainsKey(vm.Id)).Select(vm => (Labels: $"vm=\"{vm.Name}\",id=\"{vm.Id}\"", Sample: latest[vm.Id])).ToList();
        Family(text, "webvm_vm_cpu_percent", "gauge", "Host CPU used by the VM's process; 100 is one core.", running.Select(vm => (vm.Labels, vm.Sample.CpuPercent)));
        Family(text, "webvm_vm_resident_bytes", "gauge", "Host memory of the VM's process.", running.Select(vm => (vm.Labels, (double)vm.Sample.ResidentBytes)));
        PerVcpu("webvm_vcpu_port_exits_total", "Port accesses.", vcpu => vcpu.PortExits);
        PerVcpu("webvm_vcpu_mmio_exits_total", "Memory-mapped register accesses.", vcpu => vcpu.MmioExits);
        PerVcpu("webvm_vcpu_halt_exits_total", "HLT.", vcpu => vcpu.HaltExits);
        PerVcpu("webvm_vcpu_interrupts_total", "Interrupts delivered.", vcpu => vcpu.InterruptsInjected);
        PerVcpu("webvm_vcpu_assists_total", "Instructions completed by the interpreter for KVM.", vcpu => vcpu.Assists);
        PerVcpu("webvm_vcpu_instructions_total", "Guest instructions retired, where the engine counts.", vcpu => vcpu.Instructions);
        return TypedResults.Text(text.ToString(), "text/plain; version=0.0.4");

        void PerVcpu(string name, string help, Func<VcpuMetrics, long> value) =>
            Family(text, name, "counter", help, running.SelectMany(vm => vm.Sample.Totals.Vcpus.Select(vcpu => ($"{vm.Labels},vcpu=\"{vcpu.Index}\"", (double)value(vcpu)))));
    }

    private static void Family(StringBuilder text, string name, string type, string help, IEnumerable<(string Labels, double Value)> samples)
    {
        text.Append("# HELP ").Append(name).Append(' ').Append(help).Append('\n');
        text.Append("# TYPE ").Append(name).Append(' ').Append(type).Append('\n');
        foreach (var (labels, value) in samples)
        {
            text.Append(name).Append('{').Append(labels).Append("} ").Append(value.ToString(CultureInfo.InvariantCulture)).Append('\n');
        }
    }
}

/// <param name="IntervalSeconds">Time between samples.</param>
public sealed record VmMetricsView(double IntervalSeconds, IReadOnlyList<VmSample> Samples);
