using WebVm.Vmm.Devices.Display.Bochs;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Pci;
using WebVm.Vmm.Devices.Pci.RootPort;
using WebVm.Vmm.Memory;
using WebVm.Vmm.State;
using WebVm.Vmm.Tests.Devices.Doubles;
using Xunit;

namespace WebVm.Vmm.Tests.Devices.Pci;

/// <summary>What a device holds after the link that leads to it was down: conventional reset (PCI Express Base 5.0 §6.6.1).</summary>
public sealed class LinkResetTests : IDisposable
{
    private const int Command = 4, Bar0 = 0x10, Control = 0x3e, MemoryWindow = 0x20, LinkControl = 16, SlotControl = 24;
    private const uint Device = 0x5678_1234, Nobody = 0xffff_ffff;
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(1);

    private readonly PciMachine _machine = new();
    private readonly PcieRootPort _port;
    private readonly List<string> _log = [];
    private readonly Worker _worker;

    public LinkResetTests()
    {
        _port = _machine.AddPort(4);
        _worker = new Worker(_log);
    }

    public void Dispose() => _machine.Dispose();

    /// <summary>Register, from the port's beginning or its PCI Express capability, and what takes the link down and up in it.</summary>
    public static TheoryData<bool, int, uint, uint> Ways => new()
    {
        { false, Control, 0x40, 0 },
        { true, LinkControl, 0x10, 0 },
        { true, SlotControl, 0x7c0, 0x1c0 },
    };

    [Theory]
    [MemberData(nameof(Ways))]
    public void A_device_behind_a_link_that_goes_down_is_reset_and_not_its_registers_alone(bool express, int register, uint down, uint up)
    {
        _machine.AddBehind(_port, _worker);
        Start();
        _worker.Function.SetInterrupt(true);
        Poke(0x1234);
        Link(express, register, down);
        Assert.Equal(["stop", "reset", "start"], _log);
        Assert.Equal(Nobody, _machine.Read(1, 0, 0));
        Link(express, register, up);
        Assert.Equal(["stop", "reset", "start"], _log);
        Assert.Equal(Device, _machine.Read(1, 0, 0));
        Assert.Equal(0u, _machine.Read(1, 0, Command, 2));
        Assert.Equal(0u, _machine.Read(1, 0, Bar0));
        Assert.False(_machine.Router[PciInterrupts.GsiOf(new PciSlot(4, 0), 1)]);
        SetUp();
        Assert.Equal(0u, Peek());
        Assert.True(_machine.Tree.Find("worker")!.IsStarted);
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public void A_display_behind_it_is_off_and_keeps_the_monitor_and_its_memory(bool express, int register, uint down, uint up)
    {
        var display = new BochsDisplay(_machine.Memory, 800, 600);
        _machine.AddBehind(_port, display);
        Start();
        display.SetUp();
        Assert.True(display.SetPreferredMode(1280, 720));
        var framebuffer = display.FramebufferAddress!.Value;
        Assert.True(_machine.Memory.TryWrite(framebuffer, [1, 2, 3]));
        Link(express, register, down);
        Assert.Null(display.Mode);
        Assert.Null(display.FramebufferAddress);
        Link(express, register, up);
        Assert.Null(display.Mode);
        Assert.All(display.Save().Registers, value => Assert.Equal(0, value));
        Assert.Equal((1280, 720), (display.PreferredWidth, display.PreferredHeight));
        _machine.Write(1, 0, Bar0, 4, (uint)framebuffer.Value);
        _machine.Write(1, 0, Command, 2, 6);
        byte[] kept = new byte[3];
        Assert.True(_machine.Memory.TryRead(framebuffer, kept));
        Assert.Equal([1, 2, 3], kept);
    }

    [Fact]
    public void What_is_not_behind_the_link_is_not_reset()
    {
        var root = new Worker(_log) { Name = "root" };
        _machine.Bridge.Attach(root, new PciSlot(9, 0).Number);
        _machine.Tree.Add(root, [_machine.Bridge.Name], [_machine.Bridge]);
        var other = _machine.AddPort(5);
        _machine.AddBehind(other, _worker);
        _machine.AddBehind(_port, "behind");
        Start();
        Link(express: false, Control, 0x40);
        Link(express: false, Control, 0);
        Assert.Empty(_log);
    }

    [Fact]
    public void A_device_at_work_does_not_answer_before_it_has_come_to_rest_and_been_reset()
    {
        _machine.AddBehind(_port, _worker);
        Start();
        Poke(7);
        var hold = new TaskCompletionSource();
        _worker.Drain = hold.Task;
        Link(express: false, Control, 0x40);
        Link(express: false, Control, 0);
        Assert.Equal(["stop"], _log);
        Assert.Equal(Nobody, _machine.Read(1, 0, 0));
        _machine.Write(1, 0, Command, 2, 2);
        hold.SetResult();
        Assert.True(SpinWait.SpinUntil(() => _machine.Read(1, 0, 0) == Device && _machine.Tree.Find("worker")!.IsStarted, s_limit));
        Assert.Equal(["stop", "reset", "start"], _log);
        Assert.Equal(0u, _machine.Read(1, 0, Command, 2));
    }

    [Fact]
    public void A_device_that_does_not_come_to_rest_is_lost_and_powered_up_again()
    {
        using var machine = new PciMachine(deadline: TimeSpan.FromMilliseconds(1));
        machine.AddBehind(machine.AddPort(4), _worker);
        var lost = new List<string>();
        machine.Tree.DeviceFailed += failure => lost.Add(failure.Device);
        machine.Start();
        _log.Clear();
        _worker.Drain = new TaskCompletionSource().Task;
        machine.Write(0, 4, Control, 2, 0x40);
        machine.Write(0, 4, Control, 2, 0);
        Assert.True(SpinWait.SpinUntil(() => machine.Read(1, 0, 0) == Device, s_limit));
        Assert.Equal(["worker"], lost);
        Assert.Null(machine.Tree.Find("worker")!.Failure);
        Assert.True(SpinWait.SpinUntil(() => machine.Tree.Find("worker")!.IsStarted, s_limit));
        Assert.Equal(["stop", "reset", "start"], _log);
    }

    [Fact]
    public void A_device_asleep_is_awake_after_it()
    {
        _machine.AddBehind(_port, _worker);
        Start();
        int power = _machine.Capability(1, 0, 1);
        _machine.Write(1, 0, power + 4, 2, 3);
        Assert.Equal(["stop", "Asleep"], _log);
        Link(express: false, Control, 0x40);
        Link(express: false, Control, 0);
        Assert.Equal(["stop", "Asleep", "reset", "start"], _log);
        Assert.Equal(8u, _machine.Read(1, 0, power + 4, 2));
    }

    [Fact]
    public async Task A_machine_that_pauses_before_the_device_has_followed_saves_it_as_reset()
    {
        _machine.AddBehind(_port, _worker);
        Start();
        Poke(7);
        var thread = new LateThread();
        _machine.Tree.DriveBy(thread);
        Link(express: false, Control, 0x40);
        Link(express: false, Control, 0);
        Assert.Empty(_log);
        Assert.True((await _machine.Tree.StopAsync(s_limit)).AtRest);
        var state = _machine.Tree.Save().Single(section => section.Unit == StateUnits.Device("worker"));
        Assert.Equal(["stop", "reset"], _log);
        Assert.Equal(0u, state.Body.GetProperty("register").GetUInt32());
        thread.Run();
        _machine.Tree.Start();
        Assert.Equal(["stop", "reset", "start"], _log);
        Assert.Equal(Device, _machine.Read(1, 0, 0));
    }

    [Fact]
    public async Task A_machine_that_goes_on_resets_the_device_before_it_starts()
    {
        _machine.AddBehind(_port, _worker);
        Start();
        var thread = new LateThread();
        _machine.Tree.DriveBy(thread);
        Link(express: false, Control, 0x40);
        Assert.True((await _machine.Tree.StopAsync(s_limit)).AtRest);
        _machine.Tree.Start();
        thread.Run();
        Assert.Equal(["stop", "reset", "start"], _log);
    }

    [Fact]
    public void A_guest_that_plays_with_the_link_queues_one_reset()
    {
        _machine.AddBehind(_port, _worker);
        Start();
        var thread = new LateThread();
        _machine.Tree.DriveBy(thread);
        for (int i = 0; i < 1000; i++)
        {
            Link(express: false, Control, i % 2 == 0 ? 0x40u : 0);
        }

        Assert.Equal(1, thread.Run());
        Assert.Equal(["stop", "reset", "start"], _log);
        Assert.Equal(Device, _machine.Read(1, 0, 0));
    }

    private void Start()
    {
        _machine.Start();
        _log.Clear();
    }

    private void Link(bool express, int register, uint value) =>
        _machine.Write(0, 4, express ? _machine.Capability(0, 4, 0x10) + register : register, 2, value);

    /// <summary>As a guest that finds the device again: its BAR into the port's window.</summary>
    private void SetUp()
    {
        _machine.Write(1, 0, Bar0, 4, _machine.Read(0, 4, MemoryWindow) << 16);
        _machine.Write(1, 0, Command, 2, 6);
    }

    private uint Peek() => (uint)_machine.Bus.ReadMmio(new GuestPhysicalAddress(_worker.Function.Bars[0]!.MappedAt!.Value), 4);

    private void Poke(uint value) => _machine.Bus.WriteMmio(new GuestPhysicalAddress(_worker.Function.Bars[0]!.MappedAt!.Value), 4, value);

    /// <summary>Does what is posted when it is told to.</summary>
    private sealed class LateThread : IDeviceThread
    {
        private readonly Queue<Action> _posted = new();

        public void Post(Action work) => _posted.Enqueue(work);

        public Task RunTransition(Func<CancellationToken, Task> transition) => transition(CancellationToken.None);

        public int Run()
        {
            int done = 0;
            for (; _posted.TryDequeue(out var work); done++)
            {
                work();
            }

            return done;
        }
    }

    /// <summary>A device with a register of its own and something that works for it.</summary>
    private sealed class Worker : IPciDevice, IDrainable, IMmioHandler, ISavedState<Worker.State>
    {
        private readonly List<string> _log;
        private uint _register;

        public Worker(List<string> log)
        {
            _log = log;
            Function = new PciFunction(new PciIdentity { Vendor = 0x1234, Device = 0x5678, ClassCode = 0xff0000, InterruptPin = 1 });
            Function.AddBar(0, PciBar.ForRegisters(0x1000, this));
            Function.AddExpressCapability();
            Function.AddPowerManagement();
        }

        public string Name { get; init; } = "worker";

        public PciFunction Function { get; }

        public Task Drain { get; set; } = Task.CompletedTask;

        public StateSchema<State> Schema { get; } = new("worker", StateJson.Of<State>());

        public void Reset()
        {
            _log.Add("reset");
            _register = 0;
            Function.Reset();
        }

        public void Start() => _log.Add("start");

        public void Stop() => _log.Add("stop");

        public Task DrainAsync(CancellationToken giveUp) => Drain;

        public void EnterLevel(PowerLevel level) => _log.Add(level.ToString());

        public State Save() => new(_register, Function.Save());

        public void Load(State state)
        {
            Function.Load(state.Function);
            _register = state.Register;
        }

        public ulong ReadMmio(ulong offset, int size) => _register;

        public void WriteMmio(ulong offset, int size, ulong value) => _register = (uint)value;

        public sealed record State(uint Register, PciFunctionState Function);
    }
}
