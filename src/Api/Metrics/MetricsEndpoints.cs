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
        api.MapGet("/vms/{id:guid}/metrics", ReadAsync).RequireScope(Scopes.VmsRead).WithTags("Metrics")
            .WithSummary("Samples of the last 15 minutes, oldest first");

    public static void MapPrometheus(this IEndpointRouteBuilder root) =>
        root.MapGet("/metrics", WritePrometheusAsync).RequireScope(Scopes.VmsRead).ExcludeFromDescription();

    private static async Task<Results<Ok<VmMetricsView>, ProblemHttpResult>> ReadAsync(
        Guid id, WebVmDbContext database, MetricsSampler source, CancellationToken cancellation) =>
        await database.Vms.AnyAsync(vm => vm.Id == id, cancellation)
            ? TypedResults.Ok(new VmMetricsView(MetricsSampler.Interval.TotalSeconds, source.Read(id)))
            : Problems.NotFound("VM", id);

    private static async Task<IResult> WritePrometheusAsync(WebVmDbContext database, MetricsSampler source, CancellationToken cancellation)
    {
        var names = await database.Vms.AsNoTracking().Select(vm => new { vm.Id, vm.Name, vm.Observed }).ToListAsync(cancellation);
        var latest = source.Latest();
        var text = new StringBuilder();
        Family(text, "webvm_vms", "gauge", "Virtual machines by state.",
            names.GroupBy(vm => vm.Observed)
                .Select(group => ($"state=\"{group.Key.ToString().ToLowerInvariant()}\"", (double)group.Count())));
        var running =
            names.Where(vm => latest.ContainsKey(vm.Id)).Select(vm => (Labels: $"vm=\"{vm.Name}\",id=\"{vm.Id}\"", Sample: latest[vm.Id]))
                .ToList();
        PerVm("webvm_vm_cpu_seconds_total", "counter", "Host CPU time of the VM's process.", sample => sample.CpuSeconds);
        PerVm("webvm_vm_resident_memory_bytes", "gauge", "Host memory of the VM's process, guest memory included.",
            sample => sample.ResidentBytes);
        PerVm("webvm_vm_console_frames_total", "counter", "Frames that the console took from the screen.", sample => sample.Console.Frames);
        PerVm("webvm_vm_console_sent_bytes_total", "counter", "Bytes of frames sent to the console's viewers.",
            sample => sample.Console.Bytes);
        Family(text, "webvm_vcpu_exits_total", "counter", "Exits from guest code by reason.", PerVcpu(vcpu =>
            [(",reason=\"port\"", vcpu.PortExits), (",reason=\"mmio\"", vcpu.MmioExits), (",reason=\"halt\"", vcpu.HaltExits),
                (",reason=\"other\"", vcpu.OtherExits)]));
        Family(text, "webvm_vcpu_interrupts_total", "counter", "Interrupts delivered.", PerVcpu(vcpu => [("", vcpu.InterruptsInjected)]));
        Family(text, "webvm_vcpu_assists_total", "counter", "Instructions completed by the interpreter for KVM.", PerVcpu(
            vcpu => [("", vcpu.Assists)]));
        Family(text, "webvm_vcpu_instructions_total", "counter", "Guest instructions retired, where the engine counts.", PerVcpu(
            vcpu => [("", vcpu.Instructions)]));
        return TypedResults.Text(text.ToString(), "text/plain; version=0.0.4");

        void PerVm(string name, string type, string help, Func<VmSample, double> value) =>
            Family(text, name, type, help, running.Select(vm => (vm.Labels, value(vm.Sample))));

        IEnumerable<(string Labels, double Value)> PerVcpu(Func<VcpuMetrics, (string Labels, long Value)[]> values) =>
            from vm in running
            from vcpu in vm.Sample.Totals.Vcpus
            from value in values(vcpu)
            select ($"{vm.Labels},vcpu=\"{vcpu.Index}\"{value.Labels}", (double)value.Value);
    }

    private static void Family(
        StringBuilder text, string name, string type, string help, IEnumerable<(string Labels, double Value)> samples)
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
