using System.Diagnostics;
using System.Runtime.InteropServices;
using Iced.Intel;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Soft;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Vcpu;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Time;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Vmm.Tests.Cpu.Soft;

/// <summary>The engine as the machine uses it: threads, interrupts, sleep, deadlines, several processors.</summary>
public sealed unsafe class SoftEngineTests : IGuestBus, IDisposable
{
    private const ulong Many = 1_000_000;

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    private readonly GuestMemory _memory = new();
    private readonly TimerService _timers;
    private readonly SoftEngine _engine;
    private readonly VirtualClock _clock = new();

    public SoftEngineTests()
    {
        Assert.True(_memory.TryMap(_memory.CreateRegion("ram", GuestMemoryKind.Ram, 1 << 20), new GuestPhysicalAddress(0)));
        _timers = new TimerService(_clock);
        _engine = new SoftEngine(_memory, this, _timers);
        _clock.Start();
    }

    [Fact]
    public void A_spinning_guest_yields_at_its_deadline()
    {
        using var cpu = _engine.CreateVcpu(0, CpuPlace.Alone);
        Begin(cpu, [0xfa, 0xeb, 0xfe]);
        cpu.Deadline = Stopwatch.GetTimestamp() + (20 * Stopwatch.Frequency / 1000);
        Assert.Equal(VcpuExit.DeadlineReached, cpu.Run());
        Assert.True(Stopwatch.GetTimestamp() >= cpu.Deadline);
    }

    [Fact]
    public void A_sleeping_guest_yields_at_its_deadline_and_to_a_kick()
    {
        using var cpu = _engine.CreateVcpu(0, CpuPlace.Alone);
        Begin(cpu, [0xfa, 0xf4]);
        cpu.Deadline = Stopwatch.GetTimestamp() + (20 * Stopwatch.Frequency / 1000);
        Assert.Equal(VcpuExit.DeadlineReached, cpu.Run());
        cpu.Deadline = 0;
        using var kick = new Timer(_ => cpu.Kick(), null, 20, Timeout.Infinite);
        Assert.Equal(VcpuExit.Kicked, cpu.Run());
    }

    [Fact]
    public void A_kick_before_the_run_is_not_lost()
    {
        using var cpu = _engine.CreateVcpu(0, CpuPlace.Alone);
        Begin(cpu, [0xeb, 0xfe]);
        cpu.Kick();
        Assert.Equal(VcpuExit.Kicked, cpu.Run());
    }

    /// <summary>A machine that ends takes its devices' memory away after its vCPUs have ended.</summary>
    [Fact]
    public void Memory_may_go_and_interrupts_come_after_a_vCPU_has_ended()
    {
        var region = _memory.CreateRegion("bar", GuestMemoryKind.Device, 1 << 16);
        Assert.True(_memory.TryMap(region, new GuestPhysicalAddress(0x1000_0000)));
        var cpu = _engine.CreateVcpu(0, CpuPlace.Alone);
        cpu.Dispose();
        // What was freed is given out again, and written to.
        nuint size = (nuint)sizeof(CpuContext);
        var reused = new nint[64];
        for (int i = 0; i < reused.Length; i++)
        {
            reused[i] = (nint)NativeMemory.AlignedAlloc(size, 64);
            NativeMemory.Fill((void*)reused[i], size, 0xff);
        }

        var removal = new Thread(() => _memory.Unmap(region)) { IsBackground = true };
        removal.Start();
        bool ended = removal.Join(Patience);
        cpu.Kick();
        foreach (nint block in reused)
        {
            Assert.False(new ReadOnlySpan<byte>((void*)block, (int)size).ContainsAnyExcept((byte)0xff));
            // So that a wait for a vCPU that is not there comes to its end.
            NativeMemory.Clear((void*)block, size);
            NativeMemory.AlignedFree((void*)block);
        }

        Assert.True(ended);
    }

    [Fact]
    public void An_interrupt_wakes_from_halt_and_returns_behind_it()
    {
        using var cpu = _engine.CreateVcpu(0, CpuPlace.Alone);
        // The handler at 0x600 counts and ends the interrupt at the 8259A; the program halts three times and then spins.
        Assert.True(_memory.TryWrite<uint>(new GuestPhysicalAddress(0x25 * 4), 0x0000_0600));
        Assert.True(_memory.TryWrite(new GuestPhysicalAddress(0x600), [0xfe, 0x06, 0x00, 0x05, 0xb0, 0x20, 0xe6, 0x20, 0xcf]));
        Begin(cpu, [0xfb, 0xf4, 0xf4, 0xf4, 0xc6, 0x06, 0x01, 0x05, 0x01, 0xeb, 0xfe]);
        var pics = _engine.Controllers.Pics;
        WritePic(pics);
        var thread = new Thread(() => cpu.Run()) { IsBackground = true };
        thread.Start();
        for (int i = 0; i < 3; i++)
        {
            // Only then is it the halt that the interrupt ends.
            Assert.True(SpinWait.SpinUntil(() => cpu.Counters.HaltExits == i + 1, Patience), $"halt {i}: {Describe(cpu)}");
            byte before = Read(0x500);
            _engine.Interrupts.SetLine(5, true);
            Assert.True(SpinWait.SpinUntil(() => Read(0x500) != before, Patience), $"interrupt {i}: {Describe(cpu)}");
            _engine.Interrupts.SetLine(5, false);
        }

        Assert.True(SpinWait.SpinUntil(() => Read(0x501) == 1, Patience));
        cpu.Kick();
        thread.Join();
        Assert.Equal(3, Read(0x500));
        Assert.True(cpu.Counters.HaltExits >= 3);
    }

    [Fact]
    public void A_sleeping_guests_own_timer_needs_no_other_thread()
    {
        // Nobody fires them.
        var timers = new SilentTimers();
        using var engine = new SoftEngine(_memory, this, timers);
        using var cpu = engine.CreateVcpu(0, CpuPlace.Alone);
        const int Rounds = 20;
        Assert.True(_memory.TryWrite<uint>(new GuestPhysicalAddress(0x40 * 4), 0x0000_0600));
        Assert.True(_memory.TryWrite(new GuestPhysicalAddress(0x600), Code(0x600, a =>
        {
            a.inc(__byte_ptr[0x500]);
            WriteMsr(a, 0x80b, 0);
            a.iret();
        })));
        Begin(cpu, Code(0x7000, a =>
        {
            // An x2APIC with a one-shot timer of vector 0x40.
            WriteMsr(a, 0x1b, 0xfee0_0d00);
            WriteMsr(a, 0x80f, 0x1ff);
            WriteMsr(a, 0x83e, 0xb);
            WriteMsr(a, 0x832, 0x40);
            a.mov(bx, Rounds);
            var again = a.CreateLabel();
            a.Label(ref again);
            WriteMsr(a, 0x838, 100_000);
            a.sti();
            a.hlt();
            a.dec(bx);
            a.jne(again);
            a.mov(__byte_ptr[0x501], 1);
            a.cli();
            a.hlt();
        }));
        var thread = new Thread(() => cpu.Run()) { IsBackground = true };
        thread.Start();
        Assert.True(SpinWait.SpinUntil(() => Read(0x501) == 1, Patience), Describe(cpu));
        cpu.Kick();
        thread.Join();
        Assert.Equal(Rounds, Read(0x500));
        Assert.Equal(Rounds, timers.Armed);
    }

    [Fact]
    public void Processors_are_started_by_init_and_start_up()
    {
        using var first = _engine.CreateVcpu(0, CpuPlace.Alone);
        using var second = _engine.CreateVcpu(1, CpuTopology.Single(2)[1]);
        // The second adds 1 to [0x500] under LOCK a thousand times in step with the first, then marks [0x510] and halts.
        byte[] add = [0xb9, 0xe8, 0x03, 0xf0, 0xff, 0x06, 0x00, 0x05, 0xe2, 0xf9];
        Assert.True(
            _memory.TryWrite(new GuestPhysicalAddress(0x8000), [0x31, 0xc0, 0x8e, 0xd8, .. add, 0xc6, 0x06, 0x10, 0x05, 0x01, 0xfa, 0xf4]));
        Begin(first, [.. add, 0xc6, 0x06, 0x11, 0x05, 0x01, 0xfa, 0xf4]);
        var threads =
            new[] { new Thread(() => first.Run()) { IsBackground = true }, new Thread(() => second.Run()) { IsBackground = true } };
        Array.ForEach(threads, thread => thread.Start());
        _engine.Controllers.Apics.Send(new ApicMessage(1, false, ApicDeliveryMode.Init, 0, false));
        _engine.Controllers.Apics.Send(new ApicMessage(1, false, ApicDeliveryMode.StartUp, 8, false));
        bool done = SpinWait.SpinUntil(() => Read(0x510) == 1 && Read(0x511) == 1, Patience);
        first.Kick();
        second.Kick();
        Array.ForEach(threads, thread => thread.Join());
        Assert.True(done);
        Assert.True(_memory.TryRead(new GuestPhysicalAddress(0x500), out ushort sum));
        Assert.Equal(2000, sum);
    }

    [Fact]
    public void Running_allocates_nothing()
    {
        using var cpu = _engine.CreateVcpu(0, CpuPlace.Alone);
        // Loads, stores, calls, a port and an MMIO access in an endless loop.
        Begin(cpu, [0xb9, 0x10, 0x00, 0x50, 0x58, 0xa1, 0x00, 0x05, 0xa3, 0x02, 0x05, 0xe8, 0x00, 0x00, 0x58, 0xe4, 0x80, 0xe2, 0xf1, 0xeb,
            0xec]);
        Warm(cpu, 300);
        Allocations.UntilNone(() =>
        {
            for (ulong start = ((SoftVcpu)cpu).Context->Instructions; ((SoftVcpu)cpu).Context->Instructions - start < Many;)
            {
                Warm(cpu, 100);
            }
        });
    }

    [Fact]
    public void State_survives_save_and_load()
    {
        using var cpu = _engine.CreateVcpu(0, CpuPlace.Alone);
        Begin(cpu, [0xf9, 0xb8, 0x34, 0x12, 0xeb, 0xfe]);
        CpuState* state = (CpuState*)System.Runtime.InteropServices.NativeMemory.AlignedAlloc((nuint)sizeof(CpuState), 64);
        do
        {
            cpu.Deadline = Stopwatch.GetTimestamp() + (20 * Stopwatch.Frequency / 1000);
            cpu.Run();
            cpu.Save(state);
        }
        while (state->Rip < 0x7004);

        Assert.Equal(1UL, state->Rflags & 1);
        Assert.Equal(0x1234UL, state->Gpr[0] & 0xffff);
        Assert.Equal(0x7004UL, state->Rip);
        state->Gpr[3] = 0x77;
        cpu.Load(state);
        *state = default;
        cpu.Save(state);
        Assert.Equal(0x77UL, state->Gpr[3]);
        Assert.Equal(1UL, state->Rflags & 1);
        System.Runtime.InteropServices.NativeMemory.AlignedFree(state);
    }

    uint IGuestBus.ReadPort(ushort port, int size) => 0xff;

    void IGuestBus.WritePort(ushort port, int size, uint value)
    {
        if (port == 0x20)
        {
            _engine.Controllers.Pics.Write(secondary: false, 0, (byte)value);
        }
    }

    ulong IGuestBus.ReadMmio(GuestPhysicalAddress address, int size) => ulong.MaxValue;

    void IGuestBus.WriteMmio(GuestPhysicalAddress address, int size, ulong value)
    {
    }

    public void Dispose()
    {
        _engine.Dispose();
        _timers.Dispose();
        _memory.Dispose();
    }

    private static string Describe(IVirtualCpu cpu)
    {
        var context = ((SoftVcpu)cpu).Context;
        return $"{cpu.Failure} rip {context->State.Rip:x} {context->State.Activity} rflags {context->State.Rflags:x} requests {context->Requests:x}"
            + $" latched {context->InterruptLatched} shadow {context->State.InterruptShadow} instructions {context->Instructions}"
            + $" pending {((SoftVcpu)cpu).Apic!.HasPending}";
    }

    private static void Warm(IVirtualCpu cpu, int milliseconds)
    {
        cpu.Deadline = Stopwatch.GetTimestamp() + (milliseconds * Stopwatch.Frequency / 1000);
        cpu.Run();
        cpu.Deadline = 0;
    }

    private byte Read(ulong address)
    {
        Assert.True(_memory.TryRead(new GuestPhysicalAddress(address), out byte value));
        return value;
    }

    /// <summary>Real mode code at 0:0x7000 with a stack below.</summary>
    private void Begin(IVirtualCpu cpu, ReadOnlySpan<byte> code)
    {
        Assert.True(_memory.TryWrite(new GuestPhysicalAddress(0x7000), code));
        CpuState* state = (CpuState*)System.Runtime.InteropServices.NativeMemory.AlignedAlloc((nuint)sizeof(CpuState), 64);
        cpu.Save(state);
        state->Segments[SegmentIndex.Cs].Base = 0;
        state->Segments[SegmentIndex.Cs].Selector = 0;
        state->Rip = 0x7000;
        state->Gpr[4] = 0x6ff0;
        cpu.Load(state);
        System.Runtime.InteropServices.NativeMemory.AlignedFree(state);
    }

    private static byte[] Code(ulong at, Action<Assembler> code)
    {
        var assembler = new Assembler(16);
        code(assembler);
        using var stream = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(stream), at);
        return stream.ToArray();
    }

    private static void WriteMsr(Assembler a, uint msr, uint value)
    {
        a.mov(ecx, msr);
        a.mov(eax, value);
        a.xor(edx, edx);
        a.wrmsr();
    }

    /// <summary>A running clock whose timers remember how often they were armed, and never fire.</summary>
    private sealed class SilentTimers : ITimerService
    {
        public VirtualClock Clock { get; } = VirtualClock.OfHost();

        public int Armed { get; private set; }

        public IVirtualTimer CreateTimer(Action expired) => new Silent(this);

        private sealed class Silent(SilentTimers timers) : IVirtualTimer
        {
            public void Arm(long deadline) => timers.Armed++;

            public void Cancel()
            {
            }

            public void Withdraw()
            {
            }

            public void CancelAndWait()
            {
            }

            public void Dispose()
            {
            }
        }
    }

    private static void WritePic(PicPair pics)
    {
        pics.Write(secondary: false, 0, 0x11);
        pics.Write(secondary: false, 1, 0x20);
        pics.Write(secondary: false, 1, 4);
        pics.Write(secondary: false, 1, 1);
        pics.Write(secondary: false, 1, 0);
    }
}
