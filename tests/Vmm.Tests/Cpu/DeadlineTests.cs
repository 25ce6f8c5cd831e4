using System.Diagnostics;
using System.Runtime.InteropServices;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Kvm;
using WebVm.Vmm.Cpu.Soft;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Time;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu;

/// <summary>
/// The monitor's own timer (SYSTEMS.md 001-9): a vCPU comes back at its deadline whatever its guest does, and never before. How late is
/// measured by ./webvm bench deadline.
/// </summary>
public sealed unsafe class DeadlineTests : IGuestBus, IDisposable
{
    private const int Rounds = 200;
    private const ulong Code = 0x7000;

    private readonly GuestMemory _memory = new();
    private readonly VirtualClock _clock = new();
    private readonly TimerService _timers;

    public DeadlineTests()
    {
        Assert.True(_memory.TryMap(_memory.CreateRegion("ram", GuestMemoryKind.Ram, 1 << 20), new GuestPhysicalAddress(0)));
        _timers = new TimerService(_clock);
        _clock.Start();
    }

    /// <summary>Real mode with interrupts disabled; all never end by themselves.</summary>
    public static TheoryData<string, string> Spinners
    {
        get
        {
            (string Name, byte[] Code)[] guests =
            [
                ("a jump to itself", [0xfa, 0xeb, 0xfe]),
                // again: xor di, di; mov cx, 0xffff; rep stosb; jmp again (ES = 0x2000)
                ("string instructions", [0xfa, 0xb8, 0x00, 0x20, 0x8e, 0xc0, 0x31, 0xff, 0xb9, 0xff, 0xff, 0xf3, 0xaa, 0xeb, 0xf7]),
                // a: call b; jmp a; b: inc ax; jz c; test ax, 1; jnz c; nop; c: ret
                ("a chain of blocks", [0xfa, 0xe8, 0x02, 0x00, 0xeb, 0xfb, 0x40, 0x74, 0x06, 0xa9, 0x01, 0x00, 0x75, 0x01, 0x90, 0xc3]),
                ("port accesses", [0xfa, 0xe4, 0x80, 0xeb, 0xfc]),
                ("sleep without waking", [0xfa, 0xf4, 0xeb, 0xfd]),
            ];
            var data = new TheoryData<string, string>();
            foreach (var (name, code) in guests)
            {
                data.Add($"soft: {name}", Convert.ToHexString(code));
                data.Add($"kvm: {name}", Convert.ToHexString(code));
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Spinners))]
    public void A_guest_that_never_ends_comes_back_at_each_deadline_and_not_before(string guest, string code)
    {
        using var engine = Engine(guest);
        using var cpu = engine.CreateVcpu(0, CpuPlace.Alone);
        Begin(cpu, Convert.FromHexString(code));
        var random = new Random(1);
        for (int round = 0; round < Rounds; round++)
        {
            cpu.Deadline = Stopwatch.GetTimestamp() + random.Next(20_000, 1_000_000);
            var exit = cpu.Run();
            long now = Stopwatch.GetTimestamp();
            Assert.True(exit == VcpuExit.DeadlineReached, $"round {round}: {exit}: {cpu.Failure}");
            Assert.True(now >= cpu.Deadline, $"round {round}: {cpu.Deadline - now} ns too early");
        }
    }

    [Theory]
    [InlineData("soft")]
    [InlineData("kvm")]
    public void A_deadline_that_is_over_lets_nothing_of_the_guest_run(string name)
    {
        using var engine = Engine(name);
        using var cpu = engine.CreateVcpu(0, CpuPlace.Alone);

        // inc byte [0x500]; jmp back
        Begin(cpu, [0xfe, 0x06, 0x00, 0x05, 0xeb, 0xfa]);
        cpu.Deadline = Stopwatch.GetTimestamp() - 1;
        for (int round = 0; round < 3; round++)
        {
            Assert.Equal(VcpuExit.DeadlineReached, cpu.Run());
        }

        Assert.True(_memory.TryRead(new GuestPhysicalAddress(0x500), out byte count));
        Assert.Equal(0, count);
    }

    [Theory]
    [InlineData("soft")]
    [InlineData("kvm")]
    public void A_deadline_that_was_taken_back_or_moved_away_does_not_end_the_run(string name)
    {
        using var engine = Engine(name);
        using var cpu = engine.CreateVcpu(0, CpuPlace.Alone);
        Begin(cpu, [0xfa, 0xeb, 0xfe]);
        long earlier = Stopwatch.GetTimestamp() + 250_000_000;
        cpu.Deadline = earlier;
        cpu.Kick();
        Assert.Equal(VcpuExit.Kicked, cpu.Run());
        cpu.Deadline = earlier + 60_000_000;
        Assert.Equal(VcpuExit.DeadlineReached, cpu.Run());
        Assert.True(Stopwatch.GetTimestamp() >= earlier + 60_000_000);

        cpu.Deadline = Stopwatch.GetTimestamp() + 250_000_000;
        cpu.Kick();
        Assert.Equal(VcpuExit.Kicked, cpu.Run());
        cpu.Deadline = 0;
        using var kick = new Timer(_ => cpu.Kick(), null, 350, Timeout.Infinite);
        Assert.Equal(VcpuExit.Kicked, cpu.Run());
    }

    [Fact]
    public void Deadlines_pass_while_the_machines_clock_stands_still()
    {
        using var engine = Engine("soft");
        using var cpu = engine.CreateVcpu(0, CpuPlace.Alone);
        Begin(cpu, [0xfa, 0xeb, 0xfe]);
        _clock.Stop();
        cpu.Deadline = Stopwatch.GetTimestamp() + 1_000_000;
        Assert.Equal(VcpuExit.DeadlineReached, cpu.Run());
    }

    [Theory]
    [InlineData("soft")]
    [InlineData("kvm")]
    public void Deadlines_allocate_nothing(string name)
    {
        using var engine = Engine(name);
        using var cpu = engine.CreateVcpu(0, CpuPlace.Alone);
        Begin(cpu, [0xfa, 0xeb, 0xfe]);

        Allocations.UntilNone(() =>
        {
            for (int round = 0; round < 100; round++)
            {
                cpu.Deadline = Stopwatch.GetTimestamp() + 50_000;
                cpu.Run();
            }
        });
    }

    uint IGuestBus.ReadPort(ushort port, int size) => 0xff;

    void IGuestBus.WritePort(ushort port, int size, uint value)
    {
    }

    ulong IGuestBus.ReadMmio(GuestPhysicalAddress address, int size) => ulong.MaxValue;

    void IGuestBus.WriteMmio(GuestPhysicalAddress address, int size, ulong value)
    {
    }

    public void Dispose()
    {
        _timers.Dispose();
        _memory.Dispose();
    }

    private ICpuEngine Engine(string guest)
    {
        if (guest.StartsWith("soft", StringComparison.Ordinal))
        {
            return new SoftEngine(_memory, this, _timers);
        }

        if (!File.Exists("/dev/kvm"))
        {
            Assert.Skip("This host has no /dev/kvm.");
        }

        return new KvmEngine(_memory, this, _clock);
    }

    private void Begin(IVirtualCpu cpu, ReadOnlySpan<byte> code)
    {
        Assert.True(_memory.TryWrite(new GuestPhysicalAddress(Code), code));
        var state = (CpuState*)NativeMemory.AlignedAlloc((nuint)sizeof(CpuState), 64);
        cpu.Save(state);
        state->Segments[SegmentIndex.Cs].Base = 0;
        state->Segments[SegmentIndex.Cs].Selector = 0;
        state->Rip = Code;
        state->Gpr[4] = 0x6ff0;
        cpu.Load(state);
        NativeMemory.AlignedFree(state);
    }
}
