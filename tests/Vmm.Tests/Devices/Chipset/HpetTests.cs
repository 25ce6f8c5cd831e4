using WebVm.Vmm.Devices.Chipset.HighPrecisionTimer;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Tests.Interrupts;
using Xunit;

namespace WebVm.Vmm.Tests.Devices.Chipset;

public sealed class HpetTests
{
    private const ulong Enable = 1 << 2;
    private const ulong Level = 1 << 1;
    private const ulong Periodic = 1 << 3;
    private const ulong SetValue = 1 << 6;
    private const ulong Force32 = 1 << 8;

    private readonly ManualTimers _timers = new();
    private readonly Lines _lines = new();
    private readonly Dictionary<int, InterruptLine> _wires = [];
    private readonly Hpet _hpet;
    private bool _legacy;

    public HpetTests()
    {
        _hpet = Create(_timers);
        _hpet.Reset();
        _hpet.Start();
    }

    /// <summary>Values at the ends of the counter and of the comparators: none keeps the host's timer thread busy.</summary>
    [Theory]
    [InlineData(ulong.MaxValue - 100, Enable | Force32, 0UL, 0UL)]
    [InlineData(ulong.MaxValue - 100, Enable | Periodic, ulong.MaxValue - 50, 1UL)]
    [InlineData(ulong.MaxValue - 100, Enable | Periodic, ulong.MaxValue - 50, ulong.MaxValue - 7)]
    [InlineData(1000UL, Enable | Periodic, 1UL << 63, ulong.MaxValue)]
    [InlineData(1UL << 63, Enable | Periodic | Force32, 5UL, 1UL)]
    [InlineData(0UL, Enable, ulong.MaxValue, 0UL)]
    public void No_values_make_a_comparator_match_all_the_time(ulong counter, ulong configuration, ulong comparator, ulong period)
    {
        _hpet.WriteMmio(0xf0, 8, counter);
        _hpet.WriteMmio(0x100, 4, configuration | SetValue);
        _hpet.WriteMmio(0x108, 8, comparator);
        if (period != 0)
        {
            _hpet.WriteMmio(0x108, 8, period);
        }

        _hpet.WriteMmio(0x10, 4, 1);
        for (int i = 0; i < 1000; i++)
        {
            _timers.Stall(40);
        }

        Assert.InRange(_timers.Fired, 0, 3);
    }

    [Fact]
    public void Capabilities_name_period_and_timers()
    {
        ulong capabilities = _hpet.ReadMmio(0, 8);
        Assert.Equal(10_000_000UL, capabilities >> 32);
        Assert.Equal(2UL, (capabilities >> 8) & 0x1f);
        Assert.Equal(0xa201UL, _hpet.ReadMmio(0, 2));
        Assert.Equal(10_000_000UL, _hpet.ReadMmio(4, 4));
    }

    [Fact]
    public void The_counter_runs_while_enabled_and_is_written_while_stopped()
    {
        _timers.Advance(1000);
        Assert.Equal(0UL, Counter);
        _hpet.WriteMmio(0xf0, 8, 0xffff_fff0);
        _hpet.WriteMmio(0x10, 4, 1);
        _timers.Advance(1000);
        Assert.Equal(0xffff_fff0UL + 100, Counter);
        _hpet.WriteMmio(0xf0, 8, 0);
        Assert.Equal(0xffff_fff0UL + 100, Counter);
        _hpet.WriteMmio(0x10, 4, 0);
        _timers.Advance(1000);
        Assert.Equal(0xffff_fff0UL + 100, Counter);
        _hpet.WriteMmio(0xf4, 4, 7);
        Assert.Equal(7UL, Counter >> 32);
    }

    [Fact]
    public void A_one_shot_pulses_its_route_once()
    {
        _hpet.WriteMmio(0x10, 4, 1);
        _hpet.WriteMmio(0x140, 4, Enable | (21 << 9));
        _hpet.WriteMmio(0x148, 8, 1000);
        _timers.Advance(9_999);
        Assert.Equal(0, _lines.Rises);
        _timers.Advance(1);
        Assert.Equal(1, _lines.RisesOf(21));
        _timers.Advance(1_000_000_000);
        Assert.Equal(1, _lines.Rises);
    }

    [Fact]
    public void Linux_programs_a_periodic_tick_through_the_legacy_route()
    {
        _hpet.WriteMmio(0x10, 4, 0);
        _hpet.WriteMmio(0xf0, 8, 0);
        _hpet.WriteMmio(0x10, 4, 3);
        Assert.True(_legacy);
        _timers.Advance(123_456);
        ulong delta = 100_000;
        _hpet.WriteMmio(0x100, 4, _hpet.ReadMmio(0x100, 4) | Enable | Periodic | SetValue | Force32);
        _hpet.WriteMmio(0x108, 4, Counter + delta);
        _timers.Advance(1_000);
        _hpet.WriteMmio(0x108, 4, delta);

        _timers.Advance(10_000_000);
        Assert.Equal(10, _lines.RisesOf(2));
        Assert.Equal(10, _lines.Rises);
        _timers.Stall(100_000_000);
        _timers.Advance(1_000_000);
        Assert.Equal(12, _lines.Rises);
    }

    [Fact]
    public void A_level_comparator_holds_its_line_until_the_status_is_cleared()
    {
        _hpet.WriteMmio(0x10, 4, 1);
        _hpet.WriteMmio(0x120, 4, Enable | Level | (20 << 9));
        _hpet.WriteMmio(0x128, 8, 100);
        _timers.Advance(1_000);
        Assert.True(_lines.Level(20));
        Assert.Equal(2UL, _hpet.ReadMmio(0x20, 4));
        _hpet.WriteMmio(0x20, 4, 1);
        Assert.True(_lines.Level(20));
        _hpet.WriteMmio(0x20, 4, 2);
        Assert.False(_lines.Level(20));
    }

    [Fact]
    public void A_comparator_of_32_bits_matches_past_the_carry()
    {
        _hpet.WriteMmio(0xf0, 8, 0xffff_ff00);
        _hpet.WriteMmio(0x10, 4, 1);
        _hpet.WriteMmio(0x140, 4, Enable | Force32 | (21 << 9));
        _hpet.WriteMmio(0x148, 4, 0x100);
        _timers.Advance(5_110);
        Assert.Equal(0, _lines.Rises);
        _timers.Advance(10);
        Assert.Equal(1, _lines.Rises);
    }

    [Fact]
    public void Routes_that_do_not_exist_do_not_read_back()
    {
        _hpet.WriteMmio(0x100, 4, 5 << 9);
        Assert.Equal(0UL, _hpet.ReadMmio(0x100, 4) & (0x1f << 9));
        Assert.Equal(0x00f0_0000UL, _hpet.ReadMmio(0x104, 4));
        _hpet.WriteMmio(0x100, 4, 22 << 9);
        Assert.Equal(22UL << 9, _hpet.ReadMmio(0x100, 4) & (0x1f << 9));
    }

    [Fact]
    public void The_shortest_period_does_not_keep_the_timer_thread_busy()
    {
        _hpet.WriteMmio(0x10, 4, 1);
        _hpet.WriteMmio(0x100, 4, Enable | Periodic | SetValue | (20 << 9));
        _hpet.WriteMmio(0x108, 8, 1);
        _timers.Advance(10_000_000);
        Assert.InRange(_timers.Fired, 1, 210);
    }

    [Fact]
    public void State_survives_a_round_trip()
    {
        _hpet.WriteMmio(0x10, 4, 3);
        _hpet.WriteMmio(0x100, 4, Enable | Periodic | SetValue);
        _hpet.WriteMmio(0x108, 8, 100_000);
        _timers.Advance(2_400_000);
        var state = _hpet.Save();

        var timers = new ManualTimers();
        timers.Clock.Set(77_000);
        _legacy = false;
        int before = _lines.RisesOf(2);
        var copy = Create(timers);
        copy.Load(state);
        copy.Start();
        Assert.True(_legacy);
        Assert.Equal(_hpet.ReadMmio(0xf0, 8), copy.ReadMmio(0xf0, 8));
        timers.Advance(599_000);
        Assert.Equal(before, _lines.RisesOf(2));
        timers.Advance(1_001_000);
        Assert.Equal(before + 2, _lines.RisesOf(2));
        Assert.Throws<InvalidDataException>(() => copy.Load(state with { Timers = [] }));
    }

    [Fact]
    public void No_access_of_any_width_throws()
    {
        for (int seed = 1; seed <= 6; seed++)
        {
            var random = new Random(seed);
            try
            {
                for (int i = 0; i < 30_000; i++)
                {
                    int size = 1 << random.Next(4);
                    ulong offset = random.Next(3) == 0 ? (ulong)random.Next(0x400 - size + 1) : (ulong)random.Next(0x2c) * 8;
                    ulong value = random.Next(3) switch { 0 =>
                        (ulong)random.Next(0x8000), 1 => (ulong)random.NextInt64(), _ => ulong.MaxValue };
                    _hpet.WriteMmio(Math.Min(offset, 0x400 - (ulong)size), size, value);
                    _hpet.ReadMmio(Math.Min(offset, 0x400 - (ulong)size), size);
                    _timers.Stall(random.Next(1_000_000));
                }
            }
            catch (Exception exception)
            {
                throw new InvalidOperationException($"seed {seed}", exception);
            }
        }
    }

    private ulong Counter => _hpet.ReadMmio(0xf0, 8);

    private Hpet Create(ManualTimers timers) =>
        new(timers, gsi => _wires.TryGetValue(gsi, out var line) ? line : _wires[gsi] = new InterruptLine(_lines, gsi), on => _legacy = on);
}
