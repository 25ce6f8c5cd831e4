using System.Text.Json;
using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Pci.HostBridge;
using WebVm.Vmm.Devices.Pci;
using WebVm.Vmm.Devices.Power.ResetRegister;
using WebVm.Vmm.Devices;
using WebVm.Vmm.Memory;
using WebVm.Vmm.State;
using WebVm.Vmm.Tests.Devices.Doubles;
using Xunit;

namespace WebVm.Vmm.Tests.Devices.Pci;

/// <summary>A guest that puts functions to sleep and wakes them.</summary>
public sealed class PciPowerTests : IDisposable
{
    private const int Slot = 3;
    private const int D0 = 0, D1 = 1, D2 = 2, D3Hot = 3;
    private const byte NoSoftReset = 8;
    private readonly List<string> _log = [];
    private readonly GuestMemory _memory = new();
    private readonly SystemBus _bus = new();
    private readonly RecordingRouter _router = new();
    private readonly DeviceTree _tree;
    private readonly SleepyDevice _device;
    private readonly int _pm;

    public PciPowerTests()
    {
        var bridge = new PciHostBridge(
            _bus, _memory, _router, [.. Enumerable.Range(16, 4).Select(_router.Line)], new ResetControl(new RecordingSignals()));
        _tree = new DeviceTree(new BusConnector(_bus), bridge);
        _tree.DeviceFailed += failure => Assert.Fail(failure.ToString());
        _tree.Add(bridge);
        _device = new SleepyDevice(_log);
        _tree.Add(_device, bridge.Name);
        bridge.Attach(_device, new PciSlot(Slot, 0).Number);
        _tree.PowerUp();
        PciResources.Assign(bridge.RootBus);
        _tree.Start();
        _pm = Find(1);
        _log.Clear();
    }

    public void Dispose()
    {
        _tree.Dispose();
        _memory.Dispose();
    }

    [Fact]
    public void The_capability_tells_of_D0_and_D3hot_and_that_nothing_is_lost_in_between()
    {
        Assert.Equal(0x0003u, Config(_pm + 2, 2));
        Assert.Equal((uint)NoSoftReset, Config(_pm + 4, 2));
        ConfigWrite(_pm + 4, 2, 0xffff);
        Assert.Equal((uint)(NoSoftReset | D3Hot), Config(_pm + 4, 2));
    }

    [Fact]
    public void A_function_asleep_answers_configuration_only_and_wakes_as_it_was()
    {
        uint bar = Config(0x10, 4);
        Assert.Equal(0x77UL, Register());
        SetState(D3Hot);
        Assert.Equal(ulong.MaxValue >> 32, Register());
        Assert.Equal(["stop", "Asleep"], _log);
        Assert.False(_tree.Find("sleepy")!.IsStarted);
        Assert.False(Enters());
        Assert.Equal(bar, Config(0x10, 4));
        Assert.Equal(0x5678_1234u, Config(0, 4));

        SetState(D0);
        Assert.Equal(["stop", "Asleep", "Full", "start"], _log);
        Assert.Equal(0x77UL, Register());
        Assert.True(Enters());
    }

    [Theory]
    [InlineData(D1)]
    [InlineData(D2)]
    public void A_state_that_the_function_does_not_have_is_no_change(int state)
    {
        SetState(state);
        Assert.Equal((uint)NoSoftReset, Config(_pm + 4, 2));
        SetState(D3Hot);
        SetState(state);
        Assert.Equal((uint)(NoSoftReset | D3Hot), Config(_pm + 4, 2));
        Assert.Equal(["stop", "Asleep"], _log);
    }

    [Fact]
    public void What_a_function_asleep_has_to_signal_waits_until_it_is_awake()
    {
        int msi = Find(5);
        ConfigWrite(msi + 4, 4, 0xfee0_0000);
        ConfigWrite(msi + 12, 2, 0x40);
        SetState(D3Hot);
        _device.Function.SetInterrupt(true);
        Assert.False(_router[PciInterrupts.GsiOf(new PciSlot(Slot, 0), 1)]);
        ConfigWrite(msi + 2, 2, 1);
        _device.Function.Signal(0);
        Assert.Empty(_router.Messages);
        SetState(D0);
        Assert.Equal(0x40u, Assert.Single(_router.Messages).Data);
        ConfigWrite(msi + 2, 2, 0);
        Assert.True(_router[PciInterrupts.GsiOf(new PciSlot(Slot, 0), 1)]);
    }

    [Fact]
    public void It_sleeps_through_a_pause_and_a_reset_wakes_it()
    {
        SetState(D3Hot);
        _tree.Stop();
        _tree.Start();
        Assert.Equal(["stop", "Asleep"], _log);
        _tree.Stop();
        _tree.Reset();
        _tree.Start();
        Assert.Equal(["stop", "Asleep", "reset", "start"], _log);
        Assert.Equal((uint)NoSoftReset, Config(_pm + 4, 2));
    }

    [Fact]
    public void It_sleeps_through_save_and_restore()
    {
        SetState(D3Hot);
        _tree.Stop();
        string saved = JsonSerializer.Serialize(_tree.Save(), StateJson.Options);
        using var other = new PciPowerTests();
        other._tree.Stop();
        other._tree.Load(JsonSerializer.Deserialize<StateSection[]>(saved, StateJson.Options)!);
        other._log.Clear();
        other._tree.Start();
        Assert.Equal(["Asleep"], other._log);
        Assert.Equal(ulong.MaxValue >> 32, other.Register());
        other.SetState(D0);
        Assert.Equal(["Asleep", "Full", "start"], other._log);
        Assert.Equal(0x77UL, other.Register());
    }

    [Fact]
    public async Task What_takes_time_does_not_hold_up_the_guest()
    {
        var hold = new TaskCompletionSource();
        _device.Drain = hold.Task;
        SetState(D3Hot);
        Assert.Equal((uint)(NoSoftReset | D3Hot), Config(_pm + 4, 2));
        Assert.Equal(["stop"], _log);
        SetState(D0);
        Assert.Equal(["stop", "start"], _log);
        Assert.Equal(0x77UL, Register());

        SetState(D3Hot);
        hold.SetResult();
        Assert.True(SpinWait.SpinUntil(() => _log.Contains("Asleep"), TimeSpan.FromMinutes(1)));
        Assert.True((await _tree.StopAsync(TimeSpan.FromMinutes(1))).AtRest);
    }

    [Fact]
    public void A_guest_that_plays_with_it_ends_where_it_stopped_playing()
    {
        for (int i = 0; i < 1000; i++)
        {
            SetState(i % 2 == 0 ? D3Hot : D0);
        }

        Assert.Equal(0x77UL, Register());
        Assert.True(_tree.Find("sleepy")!.IsStarted);
        SetState(D3Hot);
        Assert.False(_tree.Find("sleepy")!.IsStarted);
    }

    private static GuestPhysicalAddress Ecam(int offset) => new(PlatformMap.Direct.Ecam!.Base + (Slot << 15) + (ulong)offset);

    private uint Config(int offset, int size) => (uint)_bus.ReadMmio(Ecam(offset), size);

    private void ConfigWrite(int offset, int size, uint value) => _bus.WriteMmio(Ecam(offset), size, value);

    private void SetState(int state) => ConfigWrite(_pm + 4, 2, (uint)state);

    private ulong Register() => _bus.ReadMmio(new GuestPhysicalAddress(Config(0x10, 4) & ~15u), 4);

    private bool Enters()
    {
        using var entry = _device.Input.Enter();
        return entry.Granted;
    }

    private int Find(int capability)
    {
        int at = (int)Config(0x34, 1);
        while (Config(at, 1) != capability)
        {
            at = (int)Config(at + 1, 1);
            Assert.NotEqual(0, at);
        }

        return at;
    }

    private sealed class SleepyDevice : IPciDevice, IHostInput, IDrainable, IMmioHandler, ISavedState<PciFunctionState>
    {
        private readonly List<string> _log;

        public SleepyDevice(List<string> log)
        {
            _log = log;
            Function = new PciFunction(new PciIdentity { Vendor = 0x1234, Device = 0x5678, ClassCode = 0xff0000, InterruptPin = 1 });
            Function.AddBar(0, PciBar.ForRegisters(0x1000, this));
            Function.AddMsi(1);
            Function.AddPowerManagement();
        }

        public string Name => "sleepy";

        public PciFunction Function { get; }

        public InputGate Input { get; } = new();

        public Task Drain { get; set; } = Task.CompletedTask;

        public StateSchema<PciFunctionState> Schema { get; } = new("sleepy", StateJson.Of<PciFunctionState>());

        public void Reset()
        {
            _log.Add("reset");
            Function.Reset();
            Function.EnableDecoding();
        }

        public void Start() => _log.Add("start");

        public void Stop() => _log.Add("stop");

        public Task DrainAsync(CancellationToken giveUp) => Drain;

        public void EnterLevel(PowerLevel level) => _log.Add(level.ToString());

        public PciFunctionState Save() => Function.Save();

        public void Load(PciFunctionState state) => Function.Load(state);

        public ulong ReadMmio(ulong offset, int size) => 0x77;

        public void WriteMmio(ulong offset, int size, ulong value)
        {
        }
    }
}
