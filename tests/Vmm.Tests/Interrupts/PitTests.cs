using WebVm.Vmm.Interrupts;
using Xunit;

namespace WebVm.Vmm.Tests.Interrupts;

public sealed class PitTests
{
    private readonly ManualTimers _timers = new();
    private readonly Pit _pit;
    private int _rises;

    public PitTests()
    {
        _pit = new Pit(_timers, asserted => _rises += asserted ? 1 : 0);
        _pit.Reset();
    }

    [Fact]
    public void Nothing_ticks_before_a_count_is_loaded()
    {
        _timers.Advance(1_000_000_000);
        Assert.Equal(0, _rises);
        Assert.Equal(0xf6, StatusOf(0));
    }

    [Theory]
    [InlineData(0x34)]
    [InlineData(0x36)]
    public void Rate_generator_and_square_wave_tick_at_their_rate(byte word)
    {
        Program(word, 0, 1193);
        _timers.Advance(1_000_000_000);
        Assert.InRange(_rises, 999, 1001);
    }

    [Fact]
    public void A_count_of_zero_is_65536()
    {
        Program(0x34, 0, 0);
        _timers.Advance(1_000_000_000);
        Assert.Equal(18, _rises);
    }

    [Theory]
    [InlineData(0x30)]
    [InlineData(0x38)]
    public void One_shot_modes_tick_once_per_load(byte word)
    {
        Program(word, 0, 1000);
        _timers.Advance(10_000_000);
        Assert.Equal(1, _rises);
        Program(word, 0, 1000);
        _timers.Advance(800_000);
        Assert.Equal(1, _rises);
        _timers.Advance(100_000);
        Assert.Equal(2, _rises);
    }

    [Fact]
    public void A_new_mode_stops_the_old_one()
    {
        Program(0x34, 0, 1193);
        _pit.Write(3, 0x30);
        _timers.Advance(100_000_000);
        Assert.Equal(0, _rises);
    }

    [Fact]
    public void The_count_runs_down_and_reloads()
    {
        Program(0xb4, 2, 1000);
        _pit.WriteSystemControl(1);
        Assert.Equal(1000, Latch(2));
        _timers.Advance(Time(400));
        Assert.Equal(600, Latch(2));
        _timers.Advance(Time(700));
        Assert.InRange(Latch(2), 899, 901);
    }

    [Fact]
    public void Bcd_counts_in_decimal()
    {
        Program(0x31, 0, 0x1234);
        _timers.Advance(Time(200));
        Assert.Equal(0x1034, Latch(0));
        _timers.Advance(Time(1035));
        Assert.Equal(0x9999, Latch(0));
    }

    [Fact]
    public void A_latched_count_stays_until_read()
    {
        Program(0x34, 0, 50000);
        _pit.Write(3, 0x00);
        _timers.Advance(Time(1000));
        _pit.Write(3, 0x00);
        Assert.Equal(50000, _pit.Read(0) | (_pit.Read(0) << 8));
        Assert.InRange(_pit.Read(0) | (_pit.Read(0) << 8), 48998, 49000);
    }

    [Fact]
    public void Read_back_latches_status_before_count_for_several_channels()
    {
        Program(0x34, 0, 1000);
        Program(0xb6, 2, 2000);
        _pit.WriteSystemControl(1);
        _pit.Write(3, 0xca);

        Assert.Equal(0xb4, _pit.Read(0));
        Assert.Equal(1000, _pit.Read(0) | (_pit.Read(0) << 8));
        Assert.Equal(0xb6, _pit.Read(2));
        Assert.Equal(2000, _pit.Read(2) | (_pit.Read(2) << 8));
    }

    [Fact]
    public void Single_byte_access_modes_touch_their_byte()
    {
        _pit.Write(3, 0x14);
        _pit.Write(0, 0x80);
        Assert.Equal(0x80, _pit.Read(0));
        _pit.Write(3, 0x24);
        _pit.Write(0, 0x80);
        Assert.Equal(0x80, _pit.Read(0));
        Assert.Equal(0x80, _pit.Read(0));
    }

    [Fact]
    public void Channel_2_signals_its_end_in_port_61_as_linux_calibrates_with_it()
    {
        _pit.WriteSystemControl((byte)((_pit.ReadSystemControl() & ~2) | 1));
        Program(0xb0, 2, 11932);
        Assert.Equal(0, _pit.ReadSystemControl() & 0x20);
        _timers.Advance(9_990_000);
        Assert.Equal(0, _pit.ReadSystemControl() & 0x20);
        _timers.Advance(20_000);
        Assert.Equal(0x20, _pit.ReadSystemControl() & 0x20);
    }

    [Fact]
    public void A_low_gate_holds_the_count_and_a_rising_one_triggers()
    {
        _pit.WriteSystemControl(1);
        Program(0xb0, 2, 1000);
        _timers.Advance(Time(100));
        _pit.WriteSystemControl(0);
        _timers.Advance(Time(5000));
        Assert.InRange(Latch(2), 899, 901);
        _pit.WriteSystemControl(1);
        _timers.Advance(Time(100));
        Assert.InRange(Latch(2), 799, 801);

        Program(0xb2, 2, 1000);
        _timers.Advance(Time(2000));
        Assert.Equal(0x20, _pit.ReadSystemControl() & 0x20);
        _pit.WriteSystemControl(0);
        _pit.WriteSystemControl(1);
        Assert.Equal(0, _pit.ReadSystemControl() & 0x20);
        _timers.Advance(Time(1001));
        Assert.Equal(0x20, _pit.ReadSystemControl() & 0x20);
    }

    [Fact]
    public void Ticks_missed_in_a_short_stall_are_made_up_for()
    {
        Program(0x34, 0, 11932);
        _timers.Stall(95_000_000);
        Assert.Equal(1, _rises);
        _timers.Advance(200_000_000);
        Assert.InRange(_rises, 28, 30);
    }

    [Fact]
    public void Ticks_missed_in_a_long_stall_are_dropped()
    {
        Program(0x34, 0, 11932);
        _timers.Stall(60_000_000_000);
        _timers.Advance(100_000_000);
        Assert.InRange(_rises, 10, 12);
    }

    [Fact]
    public void The_shortest_count_does_not_keep_the_timer_thread_busy()
    {
        Program(0x34, 0, 2);
        _timers.Advance(10_000_000);
        Assert.InRange(_timers.Fired, 1, 200);
    }

    [Fact]
    public void A_disconnected_output_is_silent()
    {
        Program(0x34, 0, 1193);
        _pit.Disconnected = true;
        _timers.Advance(10_000_000);
        Assert.Equal(0, _rises);
        _pit.Disconnected = false;
        _timers.Advance(10_000_000);
        Assert.InRange(_rises, 9, 11);
    }

    /// <summary>Nanoseconds that many clock pulses take, and a bit.</summary>
    private static long Time(int pulses) => ((long)pulses * 1_000_000_000 / Pit.Frequency) + 1;

    private void Program(byte word, int channel, int count)
    {
        _pit.Write(3, word);
        _pit.Write(channel, (byte)count);
        _pit.Write(channel, (byte)(count >> 8));
    }

    private int Latch(int channel)
    {
        _pit.Write(3, (byte)(channel << 6));
        return _pit.Read(channel) | (_pit.Read(channel) << 8);
    }

    private byte StatusOf(int channel)
    {
        _pit.Write(3, (byte)(0xe0 | (2 << channel)));
        return _pit.Read(channel);
    }
}
