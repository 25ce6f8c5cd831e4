using System.Collections.Concurrent;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Tests.Interrupts;

/// <summary>Local APICs on a bus, with owners that note what reaches them.</summary>
internal sealed class ApicBench : IDisposable
{
    private readonly TimerService _timers;

    public ApicBench(int count, Func<int, uint>? apicId = null, bool running = false)
    {
        _timers = new TimerService(Clock);
        if (running)
        {
            Clock.Start();
        }

        Owners = [.. Enumerable.Range(0, count).Select(_ => new Owner(Clock))];
        Apics = [.. Enumerable.Range(0, count).Select(i => new LocalApic(Bus, apicId?.Invoke(i) ?? (uint)i, i == 0, _timers, Owners[i]))];
    }

    public VirtualClock Clock { get; } = new();

    public ApicBus Bus { get; } = new();

    public LocalApic[] Apics { get; }

    public Owner[] Owners { get; }

    public LocalApic this[int index] => Apics[index];

    /// <summary>Switches every APIC on, as an operating system does first.</summary>
    public ApicBench Enable()
    {
        foreach (var apic in Apics)
        {
            apic.WriteMmio(0xf0, 4, 0x1ff);
        }

        return this;
    }

    public ApicBench EnableX2Apic()
    {
        foreach (var apic in Apics)
        {
            Xunit.Assert.True(apic.TryWriteMsr(0x1b, apic.Base | LocalApic.BaseX2ApicEnable));
            Xunit.Assert.True(apic.TryWriteMsr(0x80f, 0x1ff));
        }

        return this;
    }

    /// <summary>Which APICs hold that vector in IRR.</summary>
    public int[] Requested(byte vector) =>
        [.. Enumerable.Range(0, Apics.Length).Where(i => (Register(Apics[i], 0x200 + (vector / 32 * 16)) >> (vector % 32) & 1) != 0)];

    public static uint Register(LocalApic apic, int offset) => BitConverter.ToUInt32(apic.Save().Registers, offset);

    public void Dispose()
    {
        foreach (var apic in Apics)
        {
            apic.Dispose();
        }

        _timers.Dispose();
    }

    internal sealed class Owner(VirtualClock clock) : ILocalApicOwner
    {
        public ConcurrentQueue<string> Events { get; } = new();

        public ManualResetEventSlim Signalled { get; } = new();

        public int Signals;

        public void InterruptPending()
        {
            Interlocked.Increment(ref Signals);
            Signalled.Set();
        }

        public void Nmi() => Events.Enqueue("nmi");

        public void Smi() => Events.Enqueue("smi");

        public void Init() => Events.Enqueue("init");

        public void StartUp(byte vector) => Events.Enqueue($"sipi {vector:x2}");

        public void Unhalt() => Events.Enqueue("unhalt");

        // A TSC of 2 GHz that started with the clock.
        public long ClockAtTsc(ulong tsc) => (long)Math.Min(tsc / 2, long.MaxValue);

        public ulong Tsc => (ulong)clock.Now * 2;
    }
}
