using WebVm.Vmm.Devices;
using WebVm.Vmm.Devices.BuiltIn;
using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Pci;
using WebVm.Vmm.Devices.Pci.HostBridge;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Settings;
using WebVm.Vmm.Tests.Devices.Doubles;
using WebVm.Vmm.Time;
using Xunit;

namespace WebVm.Vmm.Tests.Devices.Catalogue;

/// <summary>One device more for a machine that runs, and one less; a guest that switches slots is played by the test.</summary>
public sealed class DevicePlugTests : IDisposable
{
    private const uint Card = 0x5678_1234, Nobody = 0xffff_ffff;
    private const int SlotControl = 24;
    private const uint On = 0x1c0, Off = 0x7c0, Blinking = 0x2c0;

    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan s_short = TimeSpan.FromMilliseconds(50);
    private static readonly DeviceCatalogue s_catalogue = BuiltInDevices.Catalogue.With(ExampleKinds.All);

    private readonly GuestMemory _memory = new();
    private readonly SystemBus _bus = new();
    private readonly TimerService _timers;
    private readonly VirtualClock _clock = new();
    private readonly DeviceTree _tree;
    private readonly HotPlug _plug;
    private readonly List<string> _failures = [];

    public DevicePlugTests()
    {
        _timers = new TimerService(_clock);
        DeviceSpec[] devices =
        [
            new("pci", "pci.host-bridge"),
            new DeviceSpec("fixed", "pcie.root-port") { At = "pci:03.0" }.WithSettings("""{"hotPlug":false}"""),
            new("port", "pcie.root-port") { At = "pci:04.0" },
            new("other", "pcie.root-port") { At = "pci:05.0" },
            new("there", "example.card") { At = "other:00.0" },
            new("beside", "example.card") { At = "other:00.1" },
        ];
        var faults = new List<SpecFault>();
        var plan = s_catalogue.Plan([.. devices.Select((device, at) => new DeviceEntry(device, $"/devices/{at}"))], faults);
        Assert.Empty(faults);
        var parts = new MachineParts
        {
            Memory = _memory,
            Bus = _bus,
            Timers = _timers,
            Interrupts = new RecordingRouter(),
            Signals = new RecordingSignals(),
            Facts = new MachineFacts(0),
        };
        _tree = plan.Make(parts);
        _tree.DeviceFailed += failure => _failures.Add(failure.Device);
        _plug = new HotPlug(s_catalogue, plan, parts, _tree, device => device.Name.StartsWith("held", StringComparison.Ordinal));
        _tree.PowerUp();
        PciResources.Assign(((PciHostBridge)_tree.Find("pci")!.Device).RootBus);
        _tree.Start();
    }

    public void Dispose()
    {
        _tree.Dispose();
        _timers.Dispose();
        _memory.Dispose();
    }

    [Fact]
    public async Task A_device_comes_works_and_goes_and_leaves_nothing_and_another_takes_its_place()
    {
        for (int round = 0; round < 3; round++)
        {
            int regions = _memory.AllRegions.Count, windows = _bus.Windows.Count;
            var spec = Add("""{"single":true}""");
            Assert.Equal(
                ("card", "port:00.0", """{"fails":"nothing","single":true}"""), (spec.Id, spec.At, spec.Settings!.Value.GetRawText()));
            Assert.Contains("card", _plug.Devices.Select(device => device.Id));
            var card = (ExampleCard)_tree.Find("card")!.Device;
            Assert.True(card.HasPower);
            Assert.Equal(Nobody, Config(0));
            SwitchSlot(On);
            Assert.Equal(Card, Config(0));
            var (memory, registers) = (new GuestPhysicalAddress(0xd000_0000), new GuestPhysicalAddress(0xd010_0000));
            OpenWindow(memory.Value);
            Configure(0x10, (uint)memory.Value);
            Configure(0x18, (uint)registers.Value);
            Configure(4, 6);
            Assert.True(_memory.TryWrite(memory, 77));
            Assert.Equal(8UL, _bus.ReadMmio(registers + 8, 4));
            using var watch = _memory.Watch(card.Memory);
            var removal = _plug.RemoveAsync("card", s_limit, Cancellation);
            card.Timer.Arm(_clock.Now + 1);
            SwitchSlot(Blinking);
            SwitchSlot(Off);
            Assert.Equal(UnplugOutcome.Gone, await removal.WaitAsync(s_limit, Cancellation));

            Assert.False(card.HasPower);
            Assert.True(card.Memory.IsReleased);
            Assert.False(_memory.TryRead(memory, out int _));
            Assert.False(watch.Collect(new ulong[watch.Words]));
            await AssertNoTimer(card);
            Assert.Null(_tree.Find("card"));
            Assert.DoesNotContain("card", _plug.Devices.Select(device => device.Id));
            Assert.Equal((regions, windows), (_memory.AllRegions.Count, _bus.Windows.Count));
        }

        Assert.Empty(_failures);
    }

    [Theory]
    [InlineData("""{"kind":"example.card"}""", "/device/id", "''")]
    [InlineData("""{"id":"port","kind":"example.card"}""", "/device/id", "there is a device 'port' already")]
    [InlineData("""{"id":"a","kind":"example.cart"}""", "/device/kind", "'example.cart'; there are")]
    [InlineData("""{"id":"a","kind":"serial.16550"}""", "/device/kind",
        "a serial.16550 is in no slot, and cannot come while the machine runs")]
    [InlineData("""{"id":"a","kind":"timer.hpet"}""", "/device/kind", "a timer.hpet is in no slot, and cannot come while the machine runs")]
    [InlineData("""{"id":"a","kind":"pcie.root-port"}""", "/device",
        "no slot is free in which a pcie.root-port can be plugged while the machine runs")]
    [InlineData("""{"id":"a","kind":"example.card","at":"pci:07.0"}""", "/device/at", "'pci' takes no device while the machine runs")]
    [InlineData("""{"id":"a","kind":"example.card","at":"fixed:00.0"}""", "/device/at",
        "'fixed' takes no device while the machine runs: its hotPlug is off")]
    [InlineData("""{"id":"a","kind":"example.card","at":"other:00.0"}""", "/device/at", "there is a device in 'other' already")]
    [InlineData("""{"id":"a","kind":"example.card","at":"port:00.1"}""", "/device/at",
        "a device that comes while the machine runs is function 0 of 'port'")]
    [InlineData("""{"id":"a","kind":"example.card","at":"port:01.0"}""", "/device/at",
        "'port' is a pcie.root-port, which has no place 01.0")]
    [InlineData("""{"id":"a","kind":"example.card","at":"a:00.0"}""", "/device/at",
        "'a' is a example.card, to which nothing is connected by pci")]
    [InlineData("""{"id":"a","kind":"example.card","at":"nowhere:00.0"}""", "/device/at", "there is no device 'nowhere'")]
    [InlineData("""{"id":"a","kind":"example.card","settings":{"fails":"never"}}""", "/device/settings/fails", "'never'")]
    [InlineData("""{"id":"held","kind":"example.card"}""", "/device/kind", "and cannot come while it runs")]
    public void What_cannot_come_is_refused_with_a_pointer_and_changes_nothing(string json, string pointer, string message)
    {
        int regions = _memory.AllRegions.Count;
        var read = System.Text.Json.JsonElement.Parse(json);
        string? Text(string field) => read.TryGetProperty(field, out var value) ? value.GetString() : null;
        var device = new DeviceSpec(Text("id") ?? "", Text("kind") ?? "")
        {
            At = Text("at"),
            Settings = read.TryGetProperty("settings", out var settings) ? settings : null,
        };
        var fault = Assert.Single(Assert.Throws<InvalidSpecException>(() => _plug.Add(new DeviceEntry(device, "/device"))).Faults);
        Assert.Equal(pointer, fault.Pointer);
        Assert.Contains(message, fault.Message, StringComparison.Ordinal);
        Assert.Equal(regions, _memory.AllRegions.Count);
        Assert.Equal("card", Add().Id);
    }

    [Fact]
    public void What_a_device_takes_is_taken_and_full_slots_are_full()
    {
        Add("""{"single":true}""");
        var none = Assert.Throws<InvalidSpecException>(() => Add(id: "next"));
        Assert.Equal("/device: no slot is free in which a example.card can be plugged while the machine runs", none.Message);
    }

    [Theory]
    [InlineData("making", "device 'card' cannot be made here: no card")]
    [InlineData("powering-up", "device 'card' does not work here: it fails PoweringUp")]
    [InlineData("starting", "device 'card' does not work here: it fails Starting")]
    public void One_that_fails_leaves_nothing_behind(string at, string message)
    {
        int regions = _memory.AllRegions.Count;
        Assert.Equal(message, Assert.Throws<HotPlugException>(() => Add($$"""{"fails":"{{at}}"}""")).Message);
        Assert.Equal(regions, _memory.AllRegions.Count);
        Assert.Null(_tree.Find("card"));
        Add();
        SwitchSlot(On);
        Assert.Equal(Card, Config(0));
    }

    [Theory]
    [InlineData("nobody", "the machine has no device 'nobody'")]
    [InlineData("pci", "device 'pci' is in no slot from which it could be taken while the machine runs")]
    [InlineData("port", "device 'port' is in no slot from which it could be taken while the machine runs")]
    [InlineData("there", "device 'there' is in one slot with device 'beside', and cannot go without it")]
    public async Task What_cannot_go_stays(string id, string message)
    {
        var refused = await Assert.ThrowsAsync<HotPlugException>(() => _plug.RemoveAsync(id, s_limit, Cancellation));
        Assert.Equal(message, refused.Message);
    }

    [Fact]
    public async Task A_guest_that_never_answers_keeps_the_device_and_two_who_ask_hear_of_one_end()
    {
        Add();
        SwitchSlot(On);
        Assert.Equal(UnplugOutcome.Unanswered, await _plug.RemoveAsync("card", s_short, Cancellation));
        Assert.Equal(Card, Config(0));
        Assert.True(_tree.Find("card")!.IsStarted);
        var first = _plug.RemoveAsync("card", TimeSpan.FromSeconds(1), Cancellation);
        var second = _plug.RemoveAsync("card", s_limit, Cancellation);
        SwitchSlot(Off);
        Assert.Equal(UnplugOutcome.Gone, await second.WaitAsync(s_limit, Cancellation));
        Assert.Equal(UnplugOutcome.Gone, await first.WaitAsync(s_limit, Cancellation));
    }

    /// <summary>VM time stood still until now.</summary>
    private async Task AssertNoTimer(ExampleCard card)
    {
        var later = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var timer = _timers.CreateTimer(later.SetResult);
        timer.Arm(_clock.Now + 2);
        _clock.Start();
        await later.Task.WaitAsync(s_limit, Cancellation);
        _clock.Stop();
        Assert.False(card.Expired.Task.IsCompleted);
    }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private DeviceSpec Add(string settings = "{}", string id = "card") =>
        _plug.Add(new DeviceEntry(new DeviceSpec(id, "example.card").WithSettings(settings), "/device"));

    /// <summary>Power indicator and power of the port's slot.</summary>
    private void SwitchSlot(uint control)
    {
        int at = (int)_bus.ReadMmio(Ecam(0, 4, 0x34), 1);
        while (_bus.ReadMmio(Ecam(0, 4, at), 1) != 0x10)
        {
            at = (int)_bus.ReadMmio(Ecam(0, 4, at + 1), 1);
        }

        _bus.WriteMmio(Ecam(0, 4, at + SlotControl), 2, control);
    }

    private void OpenWindow(ulong address)
    {
        _bus.WriteMmio(Ecam(0, 4, 0x20), 4, (uint)(address >> 16) | (((uint)address + 0x20_0000 - 1) & 0xfff0_0000));
        _bus.WriteMmio(Ecam(0, 4, 4), 2, 6);
    }

    private uint Config(int register) => (uint)_bus.ReadMmio(Ecam(PortBus, 0, register), 4);

    private void Configure(int register, uint value) => _bus.WriteMmio(Ecam(PortBus, 0, register), 4, value);

    private int PortBus => (int)_bus.ReadMmio(Ecam(0, 4, 0x19), 1);

    private static GuestPhysicalAddress Ecam(int bus, int device, int register) =>
        new(PlatformMap.Direct.Ecam!.Base + ((ulong)bus << 20) + ((ulong)device << 15) + (ulong)register);
}
