using WebVm.Vmm.Devices.Chipset.Clock;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Tests.Interrupts;
using Xunit;

namespace WebVm.Vmm.Tests.Devices.Chipset;

public sealed class RealTimeClockTests
{
    private static readonly DateTime Start = new(2031, 12, 31, 23, 59, 57, 500, DateTimeKind.Utc);

    private readonly ManualTimers _timers = new();
    private readonly HostTime _host;
    private readonly Lines _lines = new();
    private readonly RealTimeClock _rtc;

    public RealTimeClockTests()
    {
        _host = new HostTime(_timers, Start);
        _rtc = new RealTimeClock(_timers, new InterruptLine(_lines, 8), 0xc000_0000, 0x4000_0000, _host);
        _rtc.Reset();
        _rtc.Start();
    }

    [Fact]
    public void Time_is_the_hosts_in_bcd_and_24_hours()
    {
        Assert.Equal(new byte[] { 0x57, 0x59, 0x23, 0x04, 0x31, 0x12, 0x31, 0x20 }, Time());
        _timers.Advance(2_500_000_000);
        Assert.Equal(new byte[] { 0x00, 0x00, 0x00, 0x05, 0x01, 0x01, 0x32, 0x20 }, Time());
    }

    [Fact]
    public void Binary_and_12_hour_formats_are_understood()
    {
        Write(0x0b, 0x04);
        Assert.Equal(new byte[] { 57, 59, 0x8b, 4, 31, 12, 31, 20 }, Time());
        _timers.Advance(2_500_000_000);
        Assert.Equal(new byte[] { 0, 0, 12, 5, 1, 1, 32, 20 }, Time());
        Write(0x0b, 0x00);
        Assert.Equal(0x12, Read(4));
    }

    [Fact]
    public void Update_in_progress_warns_before_the_second_changes()
    {
        _timers.Advance(499_700_000);
        Assert.Equal(0, Read(0x0a) & 0x80);
        Assert.Equal(0x57, Read(0));
        _timers.Advance(100_000);
        Assert.Equal(0x80, Read(0x0a) & 0x80);
        _timers.Advance(200_000);
        Assert.Equal(0, Read(0x0a) & 0x80);
        Assert.Equal(0x58, Read(0));
    }

    [Fact]
    public void A_guest_sets_its_own_time_with_the_clock_held()
    {
        Write(0x0b, 0x82);
        _timers.Advance(5_000_000_000);
        Assert.Equal(0x57, Read(0));
        Write(0x0a, 0x76);
        foreach (var (index, value) in new (byte, byte)[] { (0, 0x30), (2, 0x15), (4, 0x08), (7, 0x02), (8, 0x03), (9, 0x99),
            (0x32, 0x19) })
        {
            Write(index, value);
        }

        Write(0x0b, 0x02);
        Assert.Equal(0x30, Read(0));
        Write(0x0a, 0x26);
        Assert.Equal(new byte[] { 0x30, 0x15, 0x08, 0x03, 0x02, 0x03, 0x99, 0x19 }, Time());

        // Half a second after the divider's release the first update comes.
        _timers.Advance(499_000_000);
        Assert.Equal(0x30, Read(0));
        _timers.Advance(2_000_000);
        Assert.Equal(0x31, Read(0));
    }

    [Fact]
    public void The_time_that_a_guest_set_survives_a_save_and_host_time_goes_on()
    {
        Write(0x04, 0x10);
        Write(0x40, 0x5a);
        var state = _rtc.Save();
        var copy = new RealTimeClock(_timers, new InterruptLine(_lines, 8), 0, 0, _host);
        copy.Load(state);
        _host.Add(TimeSpan.FromHours(2));
        copy.WritePort(0, 1, 0x04);
        Assert.Equal(0x12u, copy.ReadPort(1, 1));
        copy.WritePort(0, 1, 0x40);
        Assert.Equal(0x5au, copy.ReadPort(1, 1));
        Assert.Throws<InvalidDataException>(() => copy.Load(state with { Memory = [1] }));
    }

    [Fact]
    public void Update_interrupts_come_every_second_until_acknowledged()
    {
        Write(0x0b, 0x12);
        _timers.Advance(400_000_000);
        Assert.False(_lines.Asserted);
        _timers.Advance(200_000_000);
        Assert.True(_lines.Asserted);
        Assert.Equal(0xd0, Read(0x0c));
        Assert.False(_lines.Asserted);
        Assert.Equal(0, Read(0x0c));
        _timers.Advance(3_000_000_000);
        Assert.Equal(2, _lines.Rises);
        Read(0x0c);
        _timers.Advance(1_000_000_000);
        Assert.Equal(3, _lines.Rises);
    }

    [Fact]
    public void The_alarm_goes_off_at_its_second()
    {
        Write(0x01, 0x02);
        Write(0x03, 0xc0);
        Write(0x05, 0xff);
        Write(0x0b, 0x22);
        _timers.Advance(4_400_000_000);
        Assert.False(_lines.Asserted);
        _timers.Advance(200_000_000);
        Assert.True(_lines.Asserted);
        Assert.Equal(0xf0, Read(0x0c));
        _timers.Advance(59_000_000_000);
        Assert.False(_lines.Asserted);
        _timers.Advance(1_000_000_000);
        Assert.True(_lines.Asserted);
    }

    [Theory]
    [InlineData(0x26, 1024)]
    [InlineData(0x2f, 2)]
    [InlineData(0x23, 8192)]
    [InlineData(0x21, 256)]
    [InlineData(0x20, 0)]
    public void Periodic_interrupts_have_the_rate_of_register_a(byte a, int perSecond)
    {
        Write(0x0a, a);
        Write(0x0b, 0x42);
        int seen = 0;
        long end = _timers.Clock.Now + 1_000_000_000;
        while (_timers.Next is { } next && next <= end)
        {
            _timers.Advance(Math.Max(next - _timers.Clock.Now, 0));
            seen += (Read(0x0c) & 0x40) != 0 ? 1 : 0;
        }

        Assert.InRange(seen, perSecond - 1, perSecond);
    }

    [Fact]
    public void Ticks_that_pass_unread_are_one()
    {
        Write(0x0a, 0x26);
        Write(0x0b, 0x42);
        _timers.Advance(100_000_000);
        Assert.True(_lines.Asserted);
        Assert.Equal(0xc0, Read(0x0c) & 0xc0);
        Assert.False(_lines.Asserted);
        Assert.Equal(0, Read(0x0c) & 0xc0);
        _timers.Advance(1_000_000);
        Assert.True(_lines.Asserted);
    }

    [Fact]
    public void Flags_can_be_polled_without_interrupts_and_without_timers()
    {
        Assert.Null(_timers.Next);
        Read(0x0c);
        _timers.Advance(600_000_000);
        Assert.Equal(0x50, Read(0x0c));
        Assert.False(_lines.Asserted);
    }

    [Fact]
    public void Reset_switches_interrupts_off_and_keeps_time_and_memory()
    {
        Write(0x0b, 0x72);
        Write(0x0f, 0x0a);
        _timers.Advance(2_000_000_000);
        Assert.True(_lines.Asserted);
        _rtc.Reset();
        Assert.False(_lines.Asserted);
        Assert.Equal(0x02, Read(0x0b));
        Assert.Equal(0x0a, Read(0x0f));
        Assert.Equal(0x59, Read(0));
        Assert.Null(_timers.Next);
    }

    [Fact]
    public void Memory_sizes_are_where_firmware_looks()
    {
        Assert.Equal(640, Word(0x15));
        Assert.Equal(0xffff, Word(0x17));
        Assert.Equal(0xffff, Word(0x30));
        Assert.Equal((0xc000_0000 - 0x100_0000) >> 16, (uint)Word(0x34));
        Assert.Equal(0x4000, Word(0x5b));
        int sum = Enumerable.Range(0x10, 0x1e).Sum(index => Read((byte)index));
        Assert.Equal(sum, (Read(0x2e) << 8) | Read(0x2f));
    }

    [Fact]
    public void Bit_7_of_the_index_masks_nmi()
    {
        _rtc.WritePort(0, 1, 0x8d);
        Assert.True(_rtc.NmiMasked);
        Assert.Equal(0x80u, _rtc.ReadPort(1, 1));
        _rtc.WritePort(0, 1, 0x0d);
        Assert.False(_rtc.NmiMasked);
    }

    [Fact]
    public void No_access_throws()
    {
        for (int seed = 1; seed <= 6; seed++)
        {
            var random = new Random(seed);
            try
            {
                for (int i = 0; i < 30_000; i++)
                {
                    byte index = random.Next(3) == 0 ? (byte)random.Next(256) : (byte)random.Next(14);
                    byte value = random.Next(3) == 0 ? (byte)0xff : (byte)random.Next(256);
                    Write(index, value);
                    Read(index);
                    if (random.Next(4) == 0)
                    {
                        _timers.Stall(random.NextInt64(random.Next(10) == 0 ? 1_000_000_000_000_000 : 2_000_000_000));
                    }
                }
            }
            catch (Exception exception)
            {
                throw new InvalidOperationException($"seed {seed}", exception);
            }
        }
    }

    private byte[] Time() => [Read(0), Read(2), Read(4), Read(6), Read(7), Read(8), Read(9), Read(0x32)];

    private int Word(byte index) => Read(index) | (Read((byte)(index + 1)) << 8);

    private byte Read(byte index)
    {
        _rtc.WritePort(0, 1, index);
        return (byte)_rtc.ReadPort(1, 1);
    }

    private void Write(byte index, byte value)
    {
        _rtc.WritePort(0, 1, index);
        _rtc.WritePort(1, 1, value);
    }

    /// <summary>Host time that passes with the VM's.</summary>
    private sealed class HostTime(ManualTimers timers, DateTime start) : TimeProvider
    {
        private TimeSpan _extra;

        public void Add(TimeSpan time) => _extra += time;

        public override DateTimeOffset GetUtcNow() => new(start + _extra + TimeSpan.FromTicks(timers.Clock.Now / 100), TimeSpan.Zero);
    }
}
