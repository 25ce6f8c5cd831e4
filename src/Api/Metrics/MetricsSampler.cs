using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using WebVm.Api.Console;
using WebVm.Api.Persistence;
using WebVm.Api.Runs;
using WebVm.Vmm.Control;

namespace WebVm.Api.Metrics;

/// <summary>Looks at every running monitor every two seconds, and remembers the last quarter of an hour.</summary>
internal sealed partial class MetricsSampler(
    IDbContextFactory<WebVmDbContext> databases, VmSupervisor supervisor, ConsoleRooms rooms,
    ILogger<MetricsSampler> log) : BackgroundService
{
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(2);

    private const int Kept = 450;

    // USER_HZ, which /proc counts in, is 100 on every Linux port (proc(5), sysconf(_SC_CLK_TCK)).
    private const double TicksPerSecond = 100;

    private readonly ConcurrentDictionary<Guid, History> _histories = new();

    /// <summary>Samples of a VM, oldest first; empty when it has not run lately.</summary>
    public IReadOnlyList<VmSample> Read(Guid vm) => _histories.TryGetValue(vm, out var history) ? history.Copy() : [];

    /// <summary>The newest sample of every VM that runs.</summary>
    public IReadOnlyDictionary<Guid, VmSample> Latest() =>
        _histories.Where(entry => entry.Value.Newest is { } newest && DateTimeOffset.UtcNow - newest.At < 3 * Interval)
            .ToDictionary(entry => entry.Key, entry => entry.Value.Newest!);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                await using var database = await databases.CreateDbContextAsync(stoppingToken);
                var running = await database.Vms.AsNoTracking().Where(vm => vm.RunId != null).Select(vm => vm.Id)
                    .ToListAsync(stoppingToken);
                await Task.WhenAll(running.Select(SampleAsync));
                ForgetOld();
            }
            catch (Exception failure) when (failure is not OperationCanceledException)
            {
                LogFailed(log, failure.Message);
            }
        }
    }

    private async Task SampleAsync(Guid id)
    {
        if (supervisor.Client(id) is not { } client)
        {
            return;
        }

        try
        {
            var metrics = await client.MetricsAsync().WaitAsync(Interval);
            _histories.GetOrAdd(id, _ => new History()).Add(metrics, supervisor.MonitorId(id) ?? 0, rooms.Totals(id));
        }
        catch (Exception failure) when (failure is IOException or TimeoutException or ControlException)
        {
            LogFailed(log, failure.Message);
        }
    }

    /// <summary>What no page would show any more is given up, and with it what is left of deleted VMs.</summary>
    private void ForgetOld()
    {
        foreach (var (id, history) in _histories)
        {
            if (history.Newest is not { } newest || DateTimeOffset.UtcNow - newest.At > Kept * Interval)
            {
                _histories.TryRemove(id, out _);
            }
        }
    }

    /// <summary>CPU time that a process has used, in seconds; and its resident memory, in bytes (proc(5), /proc/pid/stat).</summary>
    private static (double CpuSeconds, long Resident) ReadProcess(int processId)
    {
        try
        {
            string stat = File.ReadAllText($"/proc/{processId}/stat");
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            double ticks = double.Parse(fields[11], CultureInfo.InvariantCulture) + double.Parse(fields[12], CultureInfo.InvariantCulture);
            return (ticks / TicksPerSecond, long.Parse(fields[21], CultureInfo.InvariantCulture) * Environment.SystemPageSize);
        }
        catch (IOException)
        {
            return (0, 0);
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "A metrics sample is missing: {Reason}")]
    private static partial void LogFailed(ILogger log, string reason);

    private sealed class History
    {
        private readonly Lock _lock = new();
        private readonly Queue<VmSample> _samples = new();
        private long _at;
        private int _process;
        private double _cpu;
        private MachineMetrics? _before;
        private ConsoleTotals _consoleBefore;

        public VmSample? Newest { get; private set; }

        public IReadOnlyList<VmSample> Copy()
        {
            lock (_lock)
            {
                return [.. _samples];
            }
        }

        public void Add(MachineMetrics now, int process, ConsoleTotals console)
        {
            lock (_lock)
            {
                var (cpu, resident) = ReadProcess(process);
                double seconds = _before is null || _process != process ? 0 : Stopwatch.GetElapsedTime(_at).TotalSeconds;
                double PerSecond(double now, double before) => seconds <= 0 ? 0 : Math.Max(0, (now - before) / seconds);
                double Rate(Func<VcpuMetrics, double> total) =>
                    _before is null ? 0 : PerSecond(now.Vcpus.Sum(total), _before.Vcpus.Sum(total));
                Newest = new VmSample(
                    DateTimeOffset.UtcNow,
                    PerSecond(cpu, _cpu) * 100,
                    Rate(vcpu => (double)vcpu.PortExits + vcpu.MmioExits + vcpu.HaltExits + vcpu.OtherExits),
                    Rate(vcpu => vcpu.InterruptsInjected),
                    Rate(vcpu => vcpu.Instructions),
                    PerSecond(console.Frames, _consoleBefore.Frames),
                    PerSecond(console.Bytes, _consoleBefore.Bytes),
                    resident,
                    cpu,
                    console,
                    now);
                _samples.Enqueue(Newest);
                if (_samples.Count > Kept)
                {
                    _samples.Dequeue();
                }

                (_before, _consoleBefore, _process, _cpu, _at) = (now, console, process, cpu, Stopwatch.GetTimestamp());
            }
        }
    }
}

/// <summary>One look at a VM.</summary>
/// <param name="CpuPercent">Host CPU used by the VM's process; 100 is one core.</param>
/// <param name="ExitsPerSecond">Port, MMIO, halt and other exits of all vCPUs.</param>
/// <param name="InstructionsPerSecond">0 where the engine does not count.</param>
/// <param name="FramesPerSecond">Frames that the console took from the screen; 0 while nobody watches.</param>
/// <param name="ConsoleBytesPerSecond">Bytes of frames sent to all viewers.</param>
/// <param name="ResidentBytes">Host memory of the VM's process, guest memory included.</param>
/// <param name="CpuSeconds">Host CPU time of the VM's process since its start.</param>
/// <param name="Console">The console's counters since the service's start.</param>
/// <param name="Totals">The monitor's own counters since power-on.</param>
public sealed record VmSample(
    DateTimeOffset At, double CpuPercent, double ExitsPerSecond, double InterruptsPerSecond, double InstructionsPerSecond,
    double FramesPerSecond, double ConsoleBytesPerSecond, long ResidentBytes, double CpuSeconds, ConsoleTotals Console,
    MachineMetrics Totals);
