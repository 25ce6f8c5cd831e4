using System.Diagnostics;
using System.Runtime.InteropServices;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Kvm;
using WebVm.Vmm.Cpu.Soft;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Host;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Time;

namespace WebVm.Benchmarks;

/// <summary>
/// How late after its deadline a vCPU comes back from a guest that spins with interrupts disabled (SYSTEMS.md 001-9), on a host with
/// processors to spare and on one whose processors all have other work.
/// </summary>
internal sealed unsafe class DeadlineBenchmark : IBenchmark, IGuestBus
{
    private const int Rounds = 2000;
    private const long Slice = 500_000;
    private const ulong Code = 0x1000;

    /// <summary>Upper ends of the histogram's buckets in µs.</summary>
    private static readonly int[] s_buckets = [10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000];

    /// <summary>Real mode, ES = DS = 0. Each begins with CLI.</summary>
    private static readonly (string Name, byte[] Code)[] s_guests =
    [
        ("jmp $", [0xfa, 0xeb, 0xfe]),
        // again: xor di, di; mov cx, 0xffff; rep stosb into 0x20000; jmp again
        ("rep stosb", [0xfa, 0xb8, 0x00, 0x20, 0x8e, 0xc0, 0x31, 0xff, 0xb9, 0xff, 0xff, 0xf3, 0xaa, 0xeb, 0xf7]),
    ];

    public string Name => "deadline";

    public IEnumerable<Measurement> Run()
    {
        foreach (bool loaded in (bool[])[false, true])
        {
            using var load = new HostLoad(loaded ? 2 * Environment.ProcessorCount : 0);
            foreach (string engine in (string[])["soft", "kvm"])
            {
                if (engine == "kvm" && !File.Exists("/dev/kvm"))
                {
                    continue;
                }

                foreach (var (name, code) in s_guests)
                {
                    foreach (var figure in Report($"{engine}, {name}{(loaded ? ", busy host" : "")}", Measure(engine, code)))
                    {
                        yield return figure;
                    }
                }
            }
        }
    }

    public uint ReadPort(ushort port, int size) => 0;

    public void WritePort(ushort port, int size, uint value)
    {
    }

    public ulong ReadMmio(GuestPhysicalAddress address, int size) => 0;

    public void WriteMmio(GuestPhysicalAddress address, int size, ulong value)
    {
    }

    private static IEnumerable<Measurement> Report(string what, Measured measured)
    {
        long[] lateness = measured.Lateness;
        Array.Sort(lateness);
        Array.Sort(measured.Running);
        string histogram = string.Join("  ", s_buckets.Prepend(0).Zip(s_buckets.Append(int.MaxValue), (from, to) =>
            (Label: to == int.MaxValue ? $">{from}" : $"≤{to}", Count: lateness.Count(late => late > from * 1000L && late <= to * 1000L)))
            .Where(bucket => bucket.Count > 0).Select(bucket => $"{bucket.Label}: {bucket.Count}"));
        yield return new(
            $"{what}: p50", lateness[Rounds / 2] / 1000.0, "µs",
            $"of {Rounds}, earliest {lateness[0] / 1000.0:f1} µs, {measured.Bytes:f0} B each");
        yield return new($"{what}: p99", lateness[Rounds * 99 / 100] / 1000.0, "µs", $"µs: count  {histogram}");
        yield return new(
            $"{what}: max", lateness[^1] / 1000.0, "µs",
            $"with a processor: p99 {measured.Running[Rounds * 99 / 100] / 1000.0:f0}, max {measured.Running[^1] / 1000.0:f0} µs");
    }

    private Measured Measure(string engineName, byte[] code)
    {
        using var memory = new GuestMemory();
        memory.TryMap(memory.CreateRegion("ram", GuestMemoryKind.Ram, 1 << 20), new GuestPhysicalAddress(0));
        memory.TryWrite(new GuestPhysicalAddress(Code), code);
        var clock = new VirtualClock();
        using var timers = new TimerService(clock);
        using ICpuEngine engine = engineName == "kvm" ? new KvmEngine(memory, this, clock) : new SoftEngine(memory, this, timers);
        using var vcpu = engine.CreateVcpu(0, CpuPlace.Alone);
        Begin(vcpu);
        clock.Start();
        var measured = new Measured();

        // As a machine has it: on a thread of the vCPU's own.
        var thread = new Thread(() =>
        {
            Spin(vcpu, measured);
            long before = GC.GetAllocatedBytesForCurrentThread();
            Spin(vcpu, measured);
            measured.Bytes = (GC.GetAllocatedBytesForCurrentThread() - before) / (double)Rounds;
        });
        thread.Start();
        thread.Join();
        return measured;
    }

    private static void Spin(IVirtualCpu vcpu, Measured measured)
    {
        using var delay = new ThreadRunDelay();
        for (int round = 0; round < Rounds; round++)
        {
            delay.Advance();
            vcpu.Deadline = Stopwatch.GetTimestamp() + Slice;
            var exit = vcpu.Run();
            measured.Lateness[round] = Stopwatch.GetTimestamp() - vcpu.Deadline;
            measured.Running[round] = Math.Max(0, measured.Lateness[round] - (long)delay.Advance());
            if (exit != VcpuExit.DeadlineReached)
            {
                throw new InvalidOperationException($"{exit}: {vcpu.Failure}");
            }
        }
    }

    private static void Begin(IVirtualCpu vcpu)
    {
        var state = (CpuState*)NativeMemory.AlignedAlloc((nuint)sizeof(CpuState), 64);
        vcpu.Save(state);
        state->Segments[SegmentIndex.Cs].Base = 0;
        state->Segments[SegmentIndex.Cs].Selector = 0;
        state->Rip = Code;
        vcpu.Load(state);
        NativeMemory.AlignedFree(state);
    }

    private sealed class Measured
    {
        public long[] Lateness { get; } = new long[Rounds];

        /// <summary>Lateness less the time in which the thread was ready and had no processor.</summary>
        public long[] Running { get; } = new long[Rounds];

        public double Bytes { get; set; }
    }

    /// <summary>Threads that want a processor all the time.</summary>
    private sealed class HostLoad : IDisposable
    {
        private readonly Thread[] _threads;
        private volatile bool _end;

        public HostLoad(int count)
        {
            _threads = [.. Enumerable.Range(0, count).Select(_ => new Thread(() =>
            {
                while (!_end)
                {
                    Thread.SpinWait(1000);
                }
            }) { IsBackground = true })];
            Array.ForEach(_threads, thread => thread.Start());
        }

        public void Dispose()
        {
            _end = true;
            Array.ForEach(_threads, thread => thread.Join());
        }
    }
}
