using System.Text.Json;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Pci;
using WebVm.Vmm.Devices.Pci.RootPort;
using WebVm.Vmm.State;
using WebVm.Vmm.Tests.Devices.Doubles;
using Xunit;

namespace WebVm.Vmm.Tests.Devices.Pci;

/// <summary>
/// A slot as a guest's hot-plug driver runs it: the register sequences of PCI Express Base 5.0 §6.7, as Linux's pciehp makes them.
/// </summary>
public sealed class HotPlugTests : IDisposable
{
    private const int LinkControl = 16, LinkStatus = 18, SlotCapabilities = 20, SlotControl = 24, SlotStatus = 26;
    private const uint ButtonPressed = 1, PresenceChanged = 8, CommandCompleted = 0x10, Present = 0x40, LinkStateChanged = 0x100,
        LinkActive = 0x2000;

    /// <summary>All events with their interrupt, indicators off but power on or off.</summary>
    private const uint Enables = 0x1039, IndicatorOff = 0x300, IndicatorOn = 0x100, IndicatorBlink = 0x200, PowerOff = 0x400,
        Attention = 0xc0;
    private const uint Device = 0x5678_1234, Nobody = 0xffff_ffff;

    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan s_short = TimeSpan.FromMilliseconds(50);

    private readonly PciMachine _machine = new();
    private readonly PcieRootPort _port;
    private int _express;

    public HotPlugTests() => _port = _machine.AddPort(4);

    public void Dispose() => _machine.Dispose();

    [Fact]
    public void An_empty_slot_tells_what_it_has()
    {
        Start();
        Assert.Equal(0x0142u, Port(2));
        Assert.Equal(0x5bu | (0x20u << 19), Port(SlotCapabilities, 4));
        Assert.Equal(0u, Port(SlotStatus));
        Assert.Equal(Attention | IndicatorOff | PowerOff, Port(SlotControl));
        Assert.Equal(0x0011u, Port(LinkStatus));
        Assert.Equal(1u << 20, Port(12, 4) & (1 << 20));
    }

    [Fact]
    public void A_device_that_is_there_at_power_on_has_power_and_is_no_news()
    {
        _machine.AddBehind(_port);
        Start();
        Assert.Equal(Present, Port(SlotStatus));
        Assert.Equal(Attention | IndicatorOn, Port(SlotControl));
        Assert.Equal(LinkActive | 0x11, Port(LinkStatus));
        Assert.Equal(Device, _machine.Read(1, 0, 0));
    }

    [Fact]
    public void A_device_that_is_plugged_in_is_found_after_the_guest_has_switched_it_on()
    {
        Start();
        Enable(PowerOff | IndicatorOff);
        var device = Plug();
        Assert.Equal(Present | PresenceChanged | ButtonPressed, Port(SlotStatus));
        Assert.Single(_machine.Router.Messages);
        Assert.Equal(0x20, _machine.Router.Messages[0].Requester);
        Assert.Equal(Nobody, _machine.Read(1, 0, 0));
        Clear(PresenceChanged | ButtonPressed);

        Command(IndicatorBlink | PowerOff);
        Command(IndicatorBlink);
        Assert.Equal(LinkActive, Port(LinkStatus) & LinkActive);
        Assert.Equal(Present | LinkStateChanged, Port(SlotStatus));
        Clear(LinkStateChanged);
        Assert.Equal(Device, _machine.Read(1, 0, 0));
        _machine.Write(1, 0, 0x18, 4, _machine.Read(0, 4, 0x20) << 16);
        _machine.Write(1, 0, 4, 2, 6);
        Assert.NotNull(device.Function.Bars[2]!.MappedAt);
        Command(IndicatorOn);
        Assert.Equal(Present, Port(SlotStatus));
    }

    [Fact]
    public async Task A_device_that_is_asked_back_goes_when_power_and_indicator_are_off()
    {
        var device = _machine.AddBehind(_port);
        Start();
        Enable(IndicatorOn);
        var node = _machine.Tree.Find("behind")!;
        var unplug = _machine.Tree.UnplugAsync(node, s_limit, TestContext.Current.CancellationToken);
        Assert.Equal(Present | ButtonPressed, Port(SlotStatus));
        Assert.Single(_machine.Router.Messages);
        Clear(ButtonPressed);
        Command(IndicatorBlink);
        Assert.False(unplug.IsCompleted);
        Command(IndicatorBlink | PowerOff);
        Assert.Equal(Nobody, _machine.Read(1, 0, 0));
        Assert.Null(device.Region.Base);
        Assert.Equal(Present | LinkStateChanged, Port(SlotStatus));
        Clear(LinkStateChanged);
        Assert.False(unplug.IsCompleted);
        Command(IndicatorOff | PowerOff);
        Assert.Equal(UnplugOutcome.Gone, await unplug.WaitAsync(s_limit, TestContext.Current.CancellationToken));
        Assert.Equal(PresenceChanged, Port(SlotStatus));
        Clear(PresenceChanged);

        // The slot is free.
        Plug("next");
        Assert.Equal(Present | PresenceChanged | ButtonPressed, Port(SlotStatus));
        Command(IndicatorOn);
        Assert.Equal(Device, _machine.Read(1, 0, 0));
    }

    [Fact]
    public async Task A_guest_that_stops_taking_it_out_of_use_has_refused()
    {
        _machine.AddBehind(_port);
        Start();
        Enable(IndicatorOn);
        var unplug = _machine.Tree.UnplugAsync(_machine.Tree.Find("behind")!, s_limit, TestContext.Current.CancellationToken);
        Command(IndicatorOn);
        Assert.False(unplug.IsCompleted);
        Command(IndicatorBlink);
        Command(IndicatorOn);
        Assert.Equal(UnplugOutcome.Refused, await unplug.WaitAsync(s_limit, TestContext.Current.CancellationToken));
        Assert.Equal(Device, _machine.Read(1, 0, 0));
    }

    [Fact]
    public async Task A_guest_that_is_at_it_is_not_disturbed_and_one_that_is_late_is_heard()
    {
        _machine.AddBehind(_port);
        Start();
        var gone = new TaskCompletionSource();
        _machine.Tree.DeviceGone += _ => gone.SetResult();
        var node = _machine.Tree.Find("behind")!;
        Assert.Equal(UnplugOutcome.Unanswered, await _machine.Tree.UnplugAsync(node, s_short, TestContext.Current.CancellationToken));
        Clear(ButtonPressed);
        Assert.Equal(UnplugOutcome.Unanswered, await _machine.Tree.UnplugAsync(node, s_short, TestContext.Current.CancellationToken));
        Assert.Equal(ButtonPressed, Port(SlotStatus) & ButtonPressed);
        Clear(ButtonPressed);
        Command(IndicatorBlink);
        Assert.Equal(UnplugOutcome.Unanswered, await _machine.Tree.UnplugAsync(node, s_short, TestContext.Current.CancellationToken));
        Assert.Equal(0u, Port(SlotStatus) & ButtonPressed);
        Command(IndicatorOff | PowerOff);
        await gone.Task.WaitAsync(s_limit, TestContext.Current.CancellationToken);
        Assert.Null(_machine.Tree.Find("behind"));
    }

    [Fact]
    public async Task A_device_that_the_guest_has_switched_off_goes_at_once()
    {
        _machine.AddBehind(_port);
        Start();
        Command(IndicatorOff | PowerOff);
        var unplug = _machine.Tree.UnplugAsync(_machine.Tree.Find("behind")!, s_limit, TestContext.Current.CancellationToken);
        Assert.Equal(UnplugOutcome.Gone, await unplug.WaitAsync(s_limit, TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task A_port_without_hot_plug_asks_nobody()
    {
        var port = _machine.AddPort(6, hotPlug: false);
        _machine.AddBehind(port, "fixed");
        Start();
        int express = _machine.Capability(0, 6, 0x10);
        Assert.Equal(0x0042u, _machine.Read(0, 6, express + 2, 2));
        Assert.Equal(0u, _machine.Read(0, 6, express + SlotCapabilities));
        Assert.Equal(Present, _machine.Read(0, 6, express + SlotStatus, 2));
        _machine.Write(0, 6, express + SlotControl, 2, 0xffff);
        Assert.Equal(0u, _machine.Read(0, 6, express + SlotControl, 2));
        Assert.Equal(
            UnplugOutcome.Gone, await _machine.Tree.UnplugAsync(
                _machine.Tree.Find("fixed")!, s_limit, TestContext.Current.CancellationToken));
        Assert.Equal(0u, _machine.Read(0, 6, express + LinkStatus, 2) & LinkActive);
    }

    [Fact]
    public void Without_messages_the_interrupt_is_a_level_for_as_long_as_there_is_a_reason()
    {
        Start();
        int gsi = PciInterrupts.GsiOf(new PciSlot(4, 0), 1);
        _machine.Write(0, 4, _express + SlotControl, 2, Enables | Attention | IndicatorOff | PowerOff);
        Assert.True(_machine.Router[gsi]);
        Clear(CommandCompleted);
        Assert.False(_machine.Router[gsi]);
        Plug();
        Assert.True(_machine.Router[gsi]);
        _machine.Write(0, 4, _express + SlotControl, 2, Attention | IndicatorOff | PowerOff);
        Assert.False(_machine.Router[gsi]);
        Assert.Empty(_machine.Router.Messages);
    }

    [Fact]
    public void A_link_that_is_disabled_is_down()
    {
        _machine.AddBehind(_port);
        Start();
        _machine.Write(0, 4, _express + LinkControl, 2, 0x10);
        Assert.Equal(0u, Port(LinkStatus) & LinkActive);
        Assert.Equal(Nobody, _machine.Read(1, 0, 0));
        Assert.Equal(Present | LinkStateChanged, Port(SlotStatus));
        _machine.Write(0, 4, _express + LinkControl, 2, 0x20);
        Assert.Equal(0u, Port(LinkControl));
        Assert.Equal(Device, _machine.Read(1, 0, 0));
    }

    [Fact]
    public void A_slot_is_saved_with_its_news_and_a_restored_one_does_not_tell_twice()
    {
        Start();
        Enable(PowerOff | IndicatorOff);
        Plug();
        Assert.Single(_machine.Router.Messages);
        _machine.Tree.Stop();
        string json = JsonSerializer.Serialize(_machine.Tree.Save(), StateJson.Options);
        _machine.Tree.Reset();
        Assert.Equal(Attention | IndicatorOn, Port(SlotControl));
        _machine.Tree.Load(JsonSerializer.Deserialize<StateSection[]>(json, StateJson.Options)!);
        _machine.Tree.Start();
        Assert.Equal(Present | PresenceChanged | ButtonPressed, Port(SlotStatus));
        Assert.Equal(Nobody, _machine.Read(1, 0, 0));
        Assert.Single(_machine.Router.Messages);
        _machine.Tree.Stop();
        Assert.Equal(json, JsonSerializer.Serialize(_machine.Tree.Save(), StateJson.Options));
        _machine.Tree.Start();
        Clear(PresenceChanged | ButtonPressed);
        Command(IndicatorOn);
        Assert.Equal(Device, _machine.Read(1, 0, 0));
    }

    [Fact]
    public void A_device_asleep_whose_link_goes_down_is_awake_when_it_is_back()
    {
        var device = new TestPciDevice("sleeper", _machine.Memory);
        device.Function.AddPowerManagement();
        var node = _machine.AddBehind(_port, device);
        Start();
        int power = _machine.Capability(1, 0, 1);
        _machine.Write(1, 0, power + 4, 2, 3);
        Assert.False(node.IsStarted);
        Command(IndicatorOff | PowerOff);
        Command(IndicatorOn);
        Assert.True(node.IsStarted);
        Assert.Equal(8u, _machine.Read(1, 0, power + 4, 2));
    }

    [Fact]
    public async Task A_guest_that_plays_with_its_slot_while_devices_come_and_go_ends_where_it_stopped_playing()
    {
        Start();
        bool stop = false;
        var guest = new Thread(() =>
        {
            var random = new Random(1);
            while (!Volatile.Read(ref stop))
            {
                _machine.Write(0, 4, random.Next(0x100), 1 << random.Next(3), (uint)random.NextInt64());
                _machine.Write(0, 4, _express + SlotControl, 2, (uint)random.Next(0x10000));
                _machine.Read(1, 0, random.Next(0x1000));
            }
        });
        guest.Start();
        for (int i = 0; i < 200; i++)
        {
            Plug($"d{i}");
            var node = _machine.Tree.Find($"d{i}")!;
            while (await _machine.Tree.UnplugAsync(node, s_limit, TestContext.Current.CancellationToken) != UnplugOutcome.Gone)
            {
            }
        }

        Volatile.Write(ref stop, true);
        guest.Join();
        Assert.Equal(2, _machine.Tree.Nodes.Count);
        _machine.Tree.Stop();
        _machine.Tree.Reset();
        Assert.Equal(0u, Port(SlotStatus));
    }

    private void Start()
    {
        _machine.Start();
        _express = _machine.Capability(0, 4, 0x10);
    }

    private TestPciDevice Plug(string name = "behind")
    {
        var device = _machine.AddBehind(_port, name);
        _machine.Tree.Plug(_machine.Tree.Find(name)!);
        return device;
    }

    /// <summary>What a driver does when it takes over: a message for all events.</summary>
    private void Enable(uint control)
    {
        int msi = _machine.Capability(0, 4, 5);
        _machine.Write(0, 4, msi + 4, 4, 0xfee0_0000);
        _machine.Write(0, 4, msi + 12, 2, 0x51);
        _machine.Write(0, 4, msi + 2, 2, 1);
        Command(control);
        _machine.Router.Messages.Clear();
    }

    private void Command(uint control)
    {
        _machine.Write(0, 4, _express + SlotControl, 2, Enables | Attention | control);
        Assert.Equal(CommandCompleted, Port(SlotStatus) & CommandCompleted);
        Clear(CommandCompleted);
    }

    private void Clear(uint events) => _machine.Write(0, 4, _express + SlotStatus, 2, events);

    private uint Port(int register, int size = 2) => _machine.Read(0, 4, _express + register, size);
}
