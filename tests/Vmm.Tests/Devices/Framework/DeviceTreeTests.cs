using System.Text.Json;
using System.Text.Json.Nodes;
using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.State;
using WebVm.Vmm.Tests.Devices.Doubles;
using Xunit;

namespace WebVm.Vmm.Tests.Devices.Framework;

public sealed class DeviceTreeTests : IDisposable
{
    private readonly List<string> _log = [];
    private readonly SystemBus _bus = new();
    private readonly DeviceTree _tree;
    private readonly List<DeviceFailure> _failures = [];

    public DeviceTreeTests()
    {
        _tree = new DeviceTree(new BusConnector(_bus));
        _tree.DeviceFailed += _failures.Add;
    }

    public void Dispose() => _tree.Dispose();

    [Fact]
    public void A_device_passes_through_its_states_in_order()
    {
        var device = new ScriptedDevice("a", _log);
        var node = _tree.Add(device);
        device.Node = node;
        Assert.Equal(DeviceLifecycle.Off, node.State);

        _tree.PowerUp();
        _tree.Start();
        Assert.Equal(DeviceLifecycle.Running, node.State);
        _tree.Stop();
        var saved = _tree.Save();
        _tree.Start();
        _tree.Stop();
        _tree.Load(saved);
        _tree.Start();
        _tree.PowerDown();
        Assert.Equal(DeviceLifecycle.Off, node.State);
        _tree.Dispose();
        Assert.Equal(DeviceLifecycle.TearingDown, node.State);

        Assert.Equal(
            [
                "a power up in PoweringUp", "a reset in PoweringUp", "a start in PoweringUp", "a stop in Running", "a save in SavingState",
                "a start in Running", "a stop in Running", "a load in LoadingState", "a start in LoadingState",
                "a stop in PoweringDown", "a power down in PoweringDown",
            ],
            _log);
        Assert.Empty(_failures);
    }

    [Fact]
    public void Devices_go_up_after_and_down_before_what_they_depend_on()
    {
        _tree.Add(new ScriptedDevice("disk", _log), "bus", "interrupts");
        _tree.Add(new ScriptedDevice("bus", _log), "interrupts");
        _tree.Add(new ScriptedDevice("interrupts", _log));

        _tree.PowerUp();
        _tree.Start();
        _tree.PowerDown();

        Assert.Equal(
            ["interrupts", "bus", "disk"], _log.Where(line => line.Contains("start", StringComparison.Ordinal))
                .Select(line => line.Split(' ')[0]));
        Assert.Equal(
            ["disk", "bus", "interrupts"], _log.Where(line => line.Contains("power down", StringComparison.Ordinal))
                .Select(line => line.Split(' ')[0]));
    }

    [Fact]
    public void A_missing_dependency_and_a_cycle_are_named()
    {
        _tree.Add(new ScriptedDevice("a", _log), "b");
        Assert.Contains("'b'", Assert.Throws<InvalidOperationException>(_tree.PowerUp).Message, StringComparison.Ordinal);
        _tree.Add(new ScriptedDevice("b", _log), "a");
        Assert.Contains("a, b", Assert.Throws<InvalidOperationException>(_tree.PowerUp).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => _tree.Add(new ScriptedDevice("a", _log)));
    }

    [Theory]
    [InlineData("power up")]
    [InlineData("reset")]
    [InlineData("start")]
    public void A_device_that_fails_takes_only_its_dependents_with_it(string when)
    {
        _tree.Add(new ScriptedDevice("broken", _log) { ThrowsOn = when });
        _tree.Add(new ScriptedDevice("dependent", _log), "broken");
        var well = _tree.Add(new ScriptedDevice("well", _log));

        _tree.PowerUp();
        _tree.Start();

        Assert.Equal(["broken", "dependent"], _failures.Select(failure => failure.Device));
        Assert.Contains("planted", _failures[0].ToString(), StringComparison.Ordinal);
        Assert.Null(well.Failure);
        Assert.Equal(DeviceLifecycle.Running, well.State);
        Assert.DoesNotContain("dependent start", string.Join('\n', _log), StringComparison.Ordinal);
        _tree.PowerDown();
        Assert.Contains("broken power down in PoweringDown", _log);
    }

    [Fact]
    public void A_device_lost_in_an_access_can_still_be_saved_and_a_reset_brings_it_back()
    {
        bool broken = true;
        var handler = new Sometimes(() => broken);
        var node = _tree.Add(new ScriptedDevice("a", _log) { PortWindows = [new PortWindow(0x80, 1, handler)] });
        _bus.Faulted += (window, exception) => _tree.ReportFault(window.Owner, exception);
        _tree.PowerUp();
        _tree.Start();
        Assert.Equal(0xffu, _bus.ReadPort(0x80, 1));
        Assert.Equal("a", Assert.Single(_failures).Device);
        Assert.Equal(DeviceLifecycle.Running, _failures[0].During);
        broken = false;
        Assert.Equal(0xffu, _bus.ReadPort(0x80, 1));

        _tree.Stop();
        Assert.Single(_tree.Save());
        _tree.Reset();
        _tree.Start();
        Assert.Null(node.Failure);
        Assert.Equal(7u, _bus.ReadPort(0x80, 1));
    }

    [Fact]
    public void A_device_is_on_the_bus_from_start_to_power_down()
    {
        _tree.Add(new ScriptedDevice("a", _log) { PortWindows = [new PortWindow(0x80, 1, new Constant(0x42))] });
        _tree.PowerUp();
        Assert.Equal(0xffu, _bus.ReadPort(0x80, 1));
        _tree.Start();
        Assert.Equal(0x42u, _bus.ReadPort(0x80, 1));
        _tree.PowerDown();
        Assert.Equal(0xffu, _bus.ReadPort(0x80, 1));
        _tree.PowerUp();
        _tree.Start();
        Assert.Equal(0x42u, _bus.ReadPort(0x80, 1));
    }

    [Fact]
    public void Two_devices_that_claim_the_same_port_cost_the_second_its_place()
    {
        _tree.Add(new ScriptedDevice("first", _log) { PortWindows = [new PortWindow(0x80, 1, new Constant(1))] });
        _tree.Add(
            new ScriptedDevice(
                "second", _log) { PortWindows = [new PortWindow(0x90, 1, new Constant(2)), new PortWindow(0x80, 2, new Constant(2))] });
        _tree.PowerUp();
        _tree.Start();
        Assert.Equal("second", Assert.Single(_failures).Device);
        Assert.Equal(1u, _bus.ReadPort(0x80, 1));
        Assert.Equal(0xffu, _bus.ReadPort(0x90, 1));
    }

    [Fact]
    public async Task A_device_can_be_plugged_and_unplugged_while_others_run()
    {
        _tree.Add(new ScriptedDevice("bus", _log));
        _tree.PowerUp();
        _tree.Start();

        var node = _tree.Add(new ScriptedDevice("late", _log) { PortWindows = [new PortWindow(0x80, 1, new Constant(1))] }, "bus");
        _tree.Plug(node);
        Assert.Equal(1u, _bus.ReadPort(0x80, 1));
        await Assert.ThrowsAsync<InvalidOperationException>(() => _tree.UnplugAsync(_tree.Find("bus")!, TimeSpan.Zero));
        Assert.Equal(UnplugOutcome.Gone, await _tree.UnplugAsync(node, TimeSpan.Zero));

        Assert.Equal(0xffu, _bus.ReadPort(0x80, 1));
        Assert.Equal(DeviceLifecycle.TearingDown, node.State);
        Assert.Null(_tree.Find("late"));
    }

    [Fact]
    public void A_save_that_fails_costs_nothing_and_can_be_tried_again()
    {
        var device = new ScriptedDevice("a", _log) { ThrowsOn = "save" };
        var node = _tree.Add(device);
        _tree.Add(new ScriptedDevice("b", _log));
        _tree.PowerUp();
        _tree.Start();
        Assert.Contains("it is not at rest", Assert.Throws<InvalidOperationException>(_tree.Save).Message, StringComparison.Ordinal);
        _tree.Stop();
        Assert.Equal("The state of device 'a' cannot be saved: planted", Assert.Throws<InvalidOperationException>(_tree.Save).Message);
        Assert.Null(node.Failure);
        _tree.Start();
        Assert.True(node.IsStarted);
        _tree.Stop();
        device.ThrowsOn = null;
        Assert.Equal(2, _tree.Save().Count);
        Assert.Empty(_failures);
    }

    [Fact]
    public void State_survives_a_round_trip_through_JSON()
    {
        var device = new ScriptedDevice("a", _log) { Value = 42 };
        _tree.Add(device);
        _tree.PowerUp();
        device.Value = 42;
        string json = JsonSerializer.Serialize(_tree.Save(), StateJson.Options);
        Assert.Contains("\"schema\":\"scripted\",\"version\":3", json, StringComparison.Ordinal);

        device.Value = 0;
        _tree.Load(JsonSerializer.Deserialize<StateSection[]>(json, StateJson.Options)!);
        Assert.Equal(42, device.Value);
    }

    [Theory]
    [InlineData("""[{"unit":"device/a","schema":"scripted","version":1,"body":{"old":43}}]""")]
    [InlineData("""[{"unit":"device/a","schema":"scripted","version":2,"body":{"old":1,"size":43}}]""")]
    [InlineData("""[{"unit":"device/a","schema":"scripted","version":3,"body":{"value":43}}]""")]
    public void Every_earlier_version_is_read_by_a_step_for_each(string json)
    {
        var device = new ScriptedDevice("a", _log);
        _tree.Add(device);
        _tree.PowerUp();
        _tree.Load(JsonSerializer.Deserialize<StateSection[]>(json, StateJson.Options)!);
        Assert.Equal(43, device.Value);
    }

    [Theory]
    [InlineData("""[{"unit":"device/a","schema":"scripted","version":4,"body":{"value":1}}]""",
        "version 4 of schema 'scripted'; this build reads versions 1 to 3")]
    [InlineData("""[{"unit":"device/a","schema":"other","version":3,"body":{"value":1}}]""", "schema 'other'")]
    [InlineData("""[{"unit":"device/a","schema":"scripted","version":3,"body":{"value":"x"}}]""", "is not 'scripted' version 3")]
    [InlineData("""[{"unit":"device/a","schema":"scripted","version":3,"body":{}}]""", "is not 'scripted' version 3")]
    [InlineData("""[{"unit":"device/a","schema":"scripted","version":3,"body":{"value":1,"more":2}}]""", "is not 'scripted' version 3")]
    [InlineData("""[{"unit":"device/a","schema":"scripted","version":3,"body":null}]""", "'device/a' is not a JSON object")]
    [InlineData("""[{"unit":"device/z","schema":"scripted","version":3,"body":{"value":1}}]""", "no device for 'device/z'")]
    [InlineData("""[{"unit":"device/a","schema":"scripted","version":3,"body":{"value":[null]}}]""", "nothing in the place of an element")]
    [InlineData("""[{"unit":"device/a","schema":"scripted","version":0,"body":{"value":1}}]""",
        "version 0 of schema 'scripted'; this build reads versions 1 to 3")]
    [InlineData("""[{"unit":"device/a","schema":"scripted","version":1,"body":{"value":1}}]""",
        "cannot be brought from version 1 of schema 'scripted' to 2")]
    [InlineData("""[{"unit":"device/a","schema":"scripted","version":2,"body":{"value":1}}]""",
        "cannot be brought from version 2 of schema 'scripted' to 3")]
    [InlineData("""[{"unit":"machine","schema":"scripted","version":3,"body":{"value":1}}]""", "no device for 'machine'")]
    [InlineData("[]", "no saved state of 'device/a'")]
    [InlineData("""[{"unit":"device/a","schema":"scripted","version":3,"body":{"value":1}},{"unit":"device/a","schema":"scripted","version":3,"body":{"value":2}}]""",
        "more than one")]
    [InlineData("""[{"unit":"device/a","schema":"scripted","version":3,"body":{"value":-1}}]""", "negative")]
    public void A_state_that_is_not_understood_is_refused_by_name_and_changes_nothing(string json, string expected)
    {
        var device = new ScriptedDevice("a", _log);
        _tree.Add(device);
        _tree.PowerUp();
        device.Value = 7;

        var states = JsonSerializer.Deserialize<StateSection[]>(json, StateJson.Options)!;
        Assert.Contains(expected, Assert.Throws<InvalidDataException>(() => _tree.Load(states)).Message, StringComparison.Ordinal);
        Assert.Equal(7, device.Value);
        _tree.Start();
        Assert.Equal(DeviceLifecycle.Running, _tree.Find("a")!.State);
    }

    private sealed class Constant(uint value) : IPortHandler
    {
        public uint ReadPort(int offset, int size) => value;

        public void WritePort(int offset, int size, uint value)
        {
        }
    }

    private sealed class Sometimes(Func<bool> broken) : IPortHandler
    {
        public uint ReadPort(int offset, int size) => broken() ? throw new InvalidOperationException("planted") : 7u;

        public void WritePort(int offset, int size, uint value)
        {
        }
    }

    internal sealed record ScriptedState(int Value);

    private sealed class ScriptedDevice(string name, List<string> log) : IDevice, IPowerable, IPortMapped, ISavedState<ScriptedState>
    {
        public string Name => name;

        public DeviceNode? Node { get; set; }

        public string? ThrowsOn { get; set; }

        public int Value { get; set; }

        public IReadOnlyList<PortWindow> PortWindows { get; init; } = [];

        public StateSchema<ScriptedState> Schema { get; } = new(
            "scripted", StateJson.Of<ScriptedState>(), body => body["size"] = body["old"]!.DeepClone(), Renamed);

        public void Reset()
        {
            Value = 0;
            Note("reset");
        }

        public void Start() => Note("start");

        public void Stop() => Note("stop");

        public void PowerUp() => Note("power up");

        public void PowerDown() => Note("power down");

        public ScriptedState Save()
        {
            Note("save");
            return new ScriptedState(Value);
        }

        public void Load(ScriptedState state)
        {
            if (state.Value < 0)
            {
                throw new InvalidDataException("The value is negative.");
            }

            Note("load");
            Value = state.Value;
        }

        private static void Renamed(JsonObject body)
        {
            body["value"] = body["size"]!.DeepClone();
            body.Remove("old");
            body.Remove("size");
        }

        private void Note(string what)
        {
            log.Add(Node is null ? $"{name} {what} in {(what == "power down" ? "PoweringDown" : "?")}" : $"{name} {what} in {Node.State}");
            if (what == ThrowsOn)
            {
                throw new InvalidOperationException("planted");
            }
        }
    }
}
