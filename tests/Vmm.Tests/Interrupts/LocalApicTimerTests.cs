using WebVm.Vmm.Interrupts;
using Xunit;

namespace WebVm.Vmm.Tests.Interrupts;

public sealed class LocalApicTimerTests
{
    private const int LvtTimer = 0x320;
    private const int InitialCount = 0x380;
    private const int CurrentCount = 0x390;
    private const int Divide = 0x3e0;
    private const uint Periodic = 1 << 17;
    private const uint TscDeadlineMode = 2 << 17;

    private readonly ManualTimers _timers = new();
    private readonly ApicBench.Owner _owner;
    private readonly LocalApic _apic;

    public LocalApicTimerTests()
    {
        _owner = new ApicBench.Owner(_timers.Clock);
        _apic = new LocalApic(new ApicBus(), 0, true, _timers, _owner);
        _apic.WriteMmio(0xf0, 4, 0x1ff);
        _apic.WriteMmio(Divide, 4, 0xb);
        _timers.Clock.Set(1_000_000);
    }

    [Fact]
    public void One_shot_counts_down_once()
    {
        _apic.WriteMmio(LvtTimer, 4, 0x40);
        _apic.WriteMmio(InitialCount, 4, 500_000);
        _timers.Advance(200_000);
        Assert.Equal(300_000UL, _apic.ReadMmio(CurrentCount, 4));
        Assert.Equal(-1, _apic.Acknowledge());
        _timers.Advance(300_000);
        Assert.Equal(0x40, Take());
        Assert.Equal(0UL, _apic.ReadMmio(CurrentCount, 4));
        _timers.Advance(5_000_000);
        Assert.Equal(-1, _apic.Acknowledge());
    }

    [Theory]
    [InlineData(0x0, 2)]
    [InlineData(0x1, 4)]
    [InlineData(0x2, 8)]
    [InlineData(0x3, 16)]
    [InlineData(0x8, 32)]
    [InlineData(0x9, 64)]
    [InlineData(0xa, 128)]
    [InlineData(0xb, 1)]
    public void The_divider_slows_it(uint configuration, int divisor)
    {
        _apic.WriteMmio(Divide, 4, configuration);
        _apic.WriteMmio(LvtTimer, 4, 0x40);
        _apic.WriteMmio(InitialCount, 4, 100_000);
        _timers.Advance(50_000L * divisor);
        Assert.Equal(50_000UL, _apic.ReadMmio(CurrentCount, 4));
        _timers.Advance((50_000L * divisor) - 1);
        Assert.False(_apic.HasPending);
        _timers.Advance(1);
        Assert.True(_apic.HasPending);
    }

    [Fact]
    public void Periodic_goes_on_without_drift()
    {
        _apic.WriteMmio(LvtTimer, 4, 0x41 | Periodic);
        _apic.WriteMmio(InitialCount, 4, 1_000_000);
        int taken = 0;
        for (int i = 0; i < 10; i++)
        {
            _timers.Advance(1_000_000);
            taken += Take() == 0x41 ? 1 : 0;
        }

        Assert.Equal(10, taken);
        Assert.Equal(12_000_000, _timers.Next);
        _apic.WriteMmio(InitialCount, 4, 0);
        Assert.Null(_timers.Next);
    }

    [Fact]
    public void A_masked_timer_counts_silently()
    {
        _apic.WriteMmio(LvtTimer, 4, 0x1_0041);
        _apic.WriteMmio(InitialCount, 4, 1_000);
        _timers.Advance(2_000);
        Assert.False(_apic.HasPending);
        Assert.Equal(0UL, _apic.ReadMmio(CurrentCount, 4));
    }

    [Fact]
    public void A_period_of_nothing_does_not_keep_the_timer_thread_busy()
    {
        _apic.WriteMmio(LvtTimer, 4, 0x41 | Periodic);
        _apic.WriteMmio(InitialCount, 4, 1);
        _timers.Advance(10_000_000);
        Assert.InRange(_timers.Fired, 1, 210);
        Assert.True(_apic.HasPending);
    }

    [Fact]
    public void Tsc_deadline_fires_when_the_counter_gets_there_and_clears_itself()
    {
        _apic.WriteMmio(LvtTimer, 4, 0x42 | TscDeadlineMode);
        ulong deadline = _owner.Tsc + 100_000;
        Assert.True(_apic.TryWriteMsr(LocalApic.MsrTscDeadline, deadline));
        Assert.Equal(deadline, _apic.TscDeadline);
        _timers.Advance(49_999);
        Assert.False(_apic.HasPending);
        _timers.Advance(1);
        Assert.Equal(0x42, Take());
        Assert.Equal(0UL, _apic.TscDeadline);

        Assert.True(_apic.TryWriteMsr(LocalApic.MsrTscDeadline, 1));
        Assert.Equal(0x42, Take());
        Assert.True(_apic.TryWriteMsr(LocalApic.MsrTscDeadline, _owner.Tsc + 100_000));
        Assert.True(_apic.TryWriteMsr(LocalApic.MsrTscDeadline, 0));
        _timers.Advance(1_000_000);
        Assert.False(_apic.HasPending);
    }

    [Fact]
    public void Modes_do_not_mix()
    {
        _apic.TryWriteMsr(LocalApic.MsrTscDeadline, 12345);
        Assert.Equal(0UL, _apic.TscDeadline);

        _apic.WriteMmio(LvtTimer, 4, 0x42 | TscDeadlineMode);
        _apic.WriteMmio(InitialCount, 4, 1000);
        Assert.Equal(0UL, _apic.ReadMmio(InitialCount, 4));
        _apic.TryWriteMsr(LocalApic.MsrTscDeadline, _owner.Tsc + 100_000);
        _apic.WriteMmio(LvtTimer, 4, 0x42);
        _timers.Advance(1_000_000);
        Assert.False(_apic.HasPending);
        Assert.Equal(0UL, _apic.TscDeadline);
    }

    [Fact]
    public void The_farthest_deadlines_are_as_good_as_any()
    {
        _apic.WriteMmio(LvtTimer, 4, 0x42 | TscDeadlineMode);
        _apic.TryWriteMsr(LocalApic.MsrTscDeadline, ulong.MaxValue);
        _timers.Advance(1_000_000_000);
        Assert.False(_apic.HasPending);

        _apic.WriteMmio(LvtTimer, 4, 0x42 | Periodic);
        _apic.WriteMmio(Divide, 4, 0xa);
        _apic.WriteMmio(InitialCount, 4, uint.MaxValue);
        Assert.InRange(_apic.ReadMmio(CurrentCount, 4), 0xffff_fff0UL, 0xffff_ffffUL);
    }

    [Fact]
    public void A_saved_timer_goes_on_where_it_was()
    {
        _apic.WriteMmio(LvtTimer, 4, 0x41 | Periodic);
        _apic.WriteMmio(InitialCount, 4, 1_000_000);
        _timers.Advance(400_000);
        var state = _apic.Save();

        var timers = new ManualTimers();
        timers.Clock.Set(_timers.Clock.Now);
        var copy = new LocalApic(new ApicBus(), 0, true, timers, new ApicBench.Owner(timers.Clock));
        copy.Load(state);
        Assert.Equal(600_000UL, copy.ReadMmio(CurrentCount, 4));
        Assert.Equal(state.Registers, copy.Save().Registers);

        // Saved by an engine that only knows the count.
        copy.Load(state with { TimerDeadline = 0 });
        timers.Advance(600_000);
        Assert.True(copy.HasPending);
    }

    [Fact]
    public void A_saved_tsc_deadline_goes_on_in_either_order_of_loading()
    {
        _apic.WriteMmio(LvtTimer, 4, 0x42 | TscDeadlineMode);
        _apic.TryWriteMsr(LocalApic.MsrTscDeadline, _owner.Tsc + 100_000);
        var state = _apic.Save();
        ulong deadline = _apic.TscDeadline;

        foreach (bool msrFirst in (bool[])[true, false])
        {
            var timers = new ManualTimers();
            timers.Clock.Set(_timers.Clock.Now);
            var copy = new LocalApic(new ApicBus(), 0, true, timers, new ApicBench.Owner(timers.Clock));
            if (msrFirst)
            {
                copy.LoadTscDeadline(deadline);
                copy.Load(state);
            }
            else
            {
                copy.Load(state);
                copy.LoadTscDeadline(deadline);
            }

            Assert.Equal(deadline, copy.TscDeadline);
            timers.Advance(49_999);
            Assert.False(copy.HasPending);
            timers.Advance(1);
            Assert.True(copy.HasPending);
        }
    }

    [Fact]
    public void While_its_processor_sleeps_nobody_else_waits_for_its_deadline()
    {
        _apic.WriteMmio(LvtTimer, 4, 0x40);
        _apic.WriteMmio(InitialCount, 4, 500_000);
        Assert.Equal(1_500_000, _timers.Next);
        _apic.Timer.Keep();
        Assert.Null(_timers.Next);
        Assert.Equal(1_500_000, _apic.Timer.Deadline);
        _apic.Timer.Leave();
        Assert.Equal(1_500_000, _timers.Next);
        _timers.Advance(500_000);
        Assert.Equal(0x40, Take());
    }

    [Fact]
    public void A_processor_that_wakes_too_early_for_its_deadline_gets_no_interrupt()
    {
        _apic.WriteMmio(LvtTimer, 4, 0x40);
        _apic.WriteMmio(InitialCount, 4, 500_000);
        _apic.Timer.Keep();
        _timers.Stall(499_999);
        _apic.Timer.Expire();
        Assert.Equal(-1, _apic.Acknowledge());
        _timers.Stall(1);
        _apic.Timer.Expire();
        Assert.Equal(0x40, Take());
        _apic.Timer.Leave();
        Assert.Null(_timers.Next);
    }

    [Fact]
    public void A_periodic_timer_goes_on_while_its_processor_sleeps_and_when_it_wakes()
    {
        _apic.WriteMmio(LvtTimer, 4, 0x40 | Periodic);
        _apic.WriteMmio(InitialCount, 4, 500_000);
        _apic.Timer.Keep();
        _timers.Stall(500_000);
        _apic.Timer.Expire();
        Assert.Equal(0x40, Take());
        Assert.Null(_timers.Next);
        Assert.Equal(2_000_000, _apic.Timer.Deadline);
        _apic.Timer.Leave();
        Assert.Equal(2_000_000, _timers.Next);
    }

    private int Take()
    {
        int vector = _apic.Acknowledge();
        _apic.WriteMmio(0xb0, 4, 0);
        return vector;
    }
}
