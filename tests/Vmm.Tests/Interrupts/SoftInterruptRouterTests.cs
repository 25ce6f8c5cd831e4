using System.Text.Json;
using WebVm.Vmm.Interrupts;
using Xunit;

namespace WebVm.Vmm.Tests.Interrupts;

public sealed class SoftInterruptRouterTests : IDisposable
{
    private readonly ManualTimers _timers = new();
    private readonly SoftInterruptRouter _router;
    private readonly LocalApic[] _apics;

    public SoftInterruptRouterTests() => (_router, _apics) = Create(_timers);

    public void Dispose() => _router.Dispose();

    [Fact]
    public void The_timer_arrives_at_pin_2_of_the_io_apic_as_linux_checks()
    {
        SetRedirection(2, 0x30);
        _router.Pit.Write(3, 0x34);
        _router.Pit.Write(0, 0xa9);
        _router.Pit.Write(0, 0x04);
        int ticks = 0;
        for (int i = 0; i < 10; i++)
        {
            _timers.Advance(1_000_000);
            if (_apics[0].Acknowledge() == 0x30)
            {
                ticks++;
                _apics[0].WriteMmio(0xb0, 4, 0);
            }
        }

        Assert.InRange(ticks, 9, 10);
    }

    [Fact]
    public void The_timer_arrives_through_the_8259_and_lint0_without_an_io_apic()
    {
        InitializePics();
        _router.Pit.Write(3, 0x34);
        _router.Pit.Write(0, 0xa9);
        _router.Pit.Write(0, 0x04);
        _timers.Advance(1_000_000);

        Assert.True(_apics[0].HasPending);
        Assert.False(_apics[1].HasPending);
        Assert.Equal(0x20, _apics[0].Acknowledge());
        Assert.False(_apics[0].HasPending);
    }

    [Theory]
    [InlineData(0xfee0_1000UL, 0x45u, new[] { 1 })]
    [InlineData(0xfeef_f000UL, 0x45u, new[] { 0, 1, 2 })]
    [InlineData(0xfee0_6004UL, 0x45u, new[] { 1, 2 })]
    [InlineData(0xfee0_1000UL, 0x0000_0200u, new int[0])]
    [InlineData(0xfee0_1000UL, 0xc045u, new[] { 1 })]
    [InlineData(0xfee0_1000UL, 0x8045u, new int[0])]
    [InlineData(0xfed0_1000UL, 0x45u, new int[0])]
    [InlineData(0x1_fee0_1000UL, 0x45u, new int[0])]
    public void Messages_are_decoded(ulong address, uint data, int[] reached)
    {
        for (int i = 0; i < 3; i++)
        {
            _apics[i].WriteMmio(0xd0, 4, 1u << (24 + i));
        }

        _router.SendMsi(new MsiMessage(address, data));

        Assert.Equal(reached, Enumerable.Range(0, 3).Where(i => _apics[i].Acknowledge() == 0x45));
    }

    [Fact]
    public void A_redirection_hint_picks_one()
    {
        _router.SendMsi(new MsiMessage(0xfeef_f008, 0x45));
        Assert.Single(_apics, apic => apic.Acknowledge() == 0x45);
    }

    [Fact]
    public void Pci_lines_are_level_triggered_pins_of_the_io_apic_alone()
    {
        SetRedirection(19, 0x51 | (1 << 15));
        _router.SetLine(19, true);
        Assert.Equal(0x51, _apics[0].Acknowledge());
        _apics[0].WriteMmio(0xb0, 4, 0);
        Assert.Equal(0x51, _apics[0].Acknowledge());
        _router.SetLine(19, false);
        _apics[0].WriteMmio(0xb0, 4, 0);
        Assert.False(_apics[0].HasPending);
    }

    [Fact]
    public void Lines_out_of_range_are_nobodys()
    {
        _router.SetLine(24, true);
        _router.SetLine(1000, true);
        Assert.All(_apics, apic => Assert.False(apic.HasPending));
    }

    [Fact]
    public void State_survives_a_round_trip_through_json()
    {
        InitializePics();
        SetRedirection(17, 0x61 | (1 << 15));
        SetRedirection(4, 0x62);
        _router.SetLine(17, true);
        _router.SetLine(4, true);
        _router.Pit.Write(3, 0x34);
        _router.Pit.Write(0, 0xa9);
        _router.Pit.Write(0, 0x04);
        _apics[1].WriteMmio(0xd0, 4, 0x0200_0000);
        _apics[1].Deliver(0x77, true);
        Assert.Equal(0x24, _apics[0].Acknowledge());
        Assert.Equal(0x62, _apics[0].Acknowledge());

        var state = _router.Save();
        string json = JsonSerializer.Serialize(state);
        var (copy, apics) = Create(_timers);
        copy.Load(JsonSerializer.Deserialize<InterruptControllerState>(json)!);

        Assert.Equal(json, JsonSerializer.Serialize(copy.Save()));
        Assert.Equal(0x77, apics[1].Acknowledge());
        apics[0].WriteMmio(0xb0, 4, 0);

        // The device's line is still up: its edge has been taken and does not come again.
        copy.SetLine(4, true);
        Assert.Equal(0x61, apics[0].Acknowledge());
        copy.SetLine(17, false);
        apics[0].WriteMmio(0xb0, 4, 0);
        Assert.Equal(-1, apics[0].Acknowledge());
    }

    [Fact]
    public void Foreign_states_are_refused_or_tamed()
    {
        var state = _router.Save();
        Assert.Throws<InvalidDataException>(() => _router.Load(state with { LocalApics = [] }));
        Assert.Throws<InvalidDataException>(() => _router.Load(state with { IoApic = state.IoApic with { Redirection = [1] } }));
        Assert.Throws<InvalidDataException>(() => _router.Load(state with { Pit = new PitState { Channels = [] } }));
        Assert.Throws<InvalidDataException>(
            () => _router.Load(state with { LocalApics = [.. state.LocalApics.Select(_ => new LocalApicState { Registers = [1, 2] })] }));

        var noise = new byte[1024];
        for (int seed = 0; seed < 50; seed++)
        {
            var random = new Random(seed);
            random.NextBytes(noise);
            _router.Load(state with
            {
                LocalApics = [.. state.LocalApics.Select(
                    _ => new LocalApicState { Registers = noise, TimerDeadline = random.NextInt64() })],
                IoApic = new IoApicState
                {
                    Id = 0xff,
                    Index = 0xff,
                    InterruptRequest = (uint)random.NextInt64(),
                    Redirection = [.. Enumerable.Range(0, 24).Select(_ => random.NextInt64() is var entry ? (ulong)entry : 0)],
                },
                PrimaryPic = new PicState
                {
                    InitializationStep = 200, PriorityAdd = 200, LevelTriggered = 255, InterruptRequest = 255, VectorBase = 255,
                },
                Pit = new PitState
                {
                    Channels =
                    [
                        new PitChannelState { Count = random.Next(
                            -5, 5), AccessMode = 9, ReadState = 9, WriteState = 9, Mode = 200, LoadedAt = long.MinValue },
                        new PitChannelState { Count = int.MaxValue, Mode = 2, LoadedAt = random.NextInt64() },
                        new PitChannelState { Count = -1, Bcd = true, Mode = 5, CountLatched = 77, StoppedAt = long.MinValue },
                    ],
                },
            });
            for (int i = 0; i < 100; i++)
            {
                foreach (var apic in _apics)
                {
                    apic.Acknowledge();
                    apic.WriteMmio(0xb0, 4, 0);
                }

                _router.Pit.Read(i % 3);
                _router.Pit.ReadSystemControl();
            }
        }
    }

    [Fact]
    public void Random_accesses_of_every_width_never_throw_and_stay_bounded()
    {
        for (int seed = 1; seed <= 8; seed++)
        {
            var random = new Random(seed);
            try
            {
                for (int i = 0; i < 40_000; i++)
                {
                    Disturb(random);
                }
            }
            catch (Exception exception)
            {
                throw new InvalidOperationException($"seed {seed}", exception);
            }
        }
    }

    private void Disturb(Random random)
    {
        var apic = _apics[random.Next(_apics.Length)];
        int size = 1 << random.Next(4);
        ulong value = random.Next(3) switch { 0 => 0, 1 => (ulong)random.Next(0x2_0000), _ => (ulong)random.NextInt64() };
        int offset = random.Next(2) == 0 ? random.Next(0x1001 - size) : random.Next(0x40) * 0x10;
        switch (random.Next(14))
        {
            case 0:
                apic.ReadMmio(offset, size);
                break;
            case 1 or 2:
                apic.WriteMmio(offset, size, value);
                break;
            case 3:
                apic.TryReadMsr((uint)random.Next(0x900), out _);
                break;
            case 4:
                apic.TryWriteMsr(0x800 + (uint)random.Next(0x100), value);
                break;
            case 5:
                apic.TryWriteMsr(
                    random.Next(20) == 0 ? LocalApic.MsrApicBase : LocalApic.MsrTscDeadline,
                    random.Next(4) == 0 ? apic.Base ^ 0xc00 : value);
                break;
            case 6:
                apic.Acknowledge();
                apic.WriteMmio(0xb0, 4, 0);
                break;
            case 7:
                _router.IoApic.Write(random.Next(2) * 0x10, size, value);
                break;
            case 8:
                _router.IoApic.Read(offset & 0xff, size);
                break;
            case 9:
                _router.Pics.Write(random.Next(2) == 0, random.Next(2), (byte)value);
                _router.Pics.Read(random.Next(2) == 0, random.Next(2));
                _router.Pics.WriteTrigger(random.Next(2) == 0, (byte)value);
                break;
            case 10:
                _router.Pit.Write(random.Next(4), (byte)value);
                _router.Pit.Read(random.Next(4));
                _router.Pit.WriteSystemControl((byte)value);
                _router.Pit.ReadSystemControl();
                break;
            case 11:
                _router.SetLine(random.Next(30), random.Next(2) == 0);
                break;
            case 12:
                _router.SendMsi(new MsiMessage(0xfee0_0000 | (value & 0xf_ffff), (uint)value));
                break;
            case 13:
                _timers.Advance(random.Next(100_000));
                break;
        }
    }

    private static (SoftInterruptRouter Router, LocalApic[] Apics) Create(ManualTimers timers)
    {
        var router = new SoftInterruptRouter(timers);
        var apics = Enumerable.Range(0, 3)
            .Select(i => new LocalApic(router.Apics, (uint)i, i == 0, timers, new ApicBench.Owner(timers.Clock)))
            .ToArray();
        foreach (var apic in apics)
        {
            apic.WriteMmio(0xf0, 4, 0x1ff);
        }

        return (router, apics);
    }

    private void SetRedirection(int pin, uint low)
    {
        _router.IoApic.Write(0, 4, (ulong)(0x10 + (2 * pin)));
        _router.IoApic.Write(0x10, 4, low);
    }

    private void InitializePics()
    {
        foreach (bool secondary in (bool[])[false, true])
        {
            _router.Pics.Write(secondary, 0, 0x11);
            _router.Pics.Write(secondary, 1, secondary ? (byte)0x28 : (byte)0x20);
            _router.Pics.Write(secondary, 1, secondary ? (byte)0x02 : (byte)0x04);
            _router.Pics.Write(secondary, 1, 0x01);
        }
    }
}
