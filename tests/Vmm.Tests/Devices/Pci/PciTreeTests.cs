using System.Text.Json;
using WebVm.Vmm.Devices;
using WebVm.Vmm.Devices.Pci;
using WebVm.Vmm.Devices.Pci.RootPort;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Memory;
using WebVm.Vmm.State;
using WebVm.Vmm.Tests.Devices.Doubles;
using Xunit;

namespace WebVm.Vmm.Tests.Devices.Pci;

/// <summary>Buses behind ports, under the numbers and windows that a guest gives them.</summary>
public sealed class PciTreeTests : IDisposable
{
    private const uint Device = 0x5678_1234, Nobody = 0xffff_ffff, Port = 0x000c_1b36;
    private const int Command = 4, Bar0 = 0x10, Bar1 = 0x14, Bar2 = 0x18, Numbers = 0x18, IoWindow = 0x1c, MemoryWindow = 0x20,
        PrefetchableWindow = 0x24, Control = 0x3e;
    private readonly PciMachine _machine = new();
    private readonly PcieRootPort _first;
    private readonly PcieRootPort _second;
    private readonly TestPciDevice _behind;

    public PciTreeTests()
    {
        _first = _machine.AddPort(2);
        _second = _machine.AddPort(3, hotPlug: false);
        _behind = _machine.AddBehind(_second, msi: 1);
    }

    public void Dispose() => _machine.Dispose();

    [Fact]
    public void Firmware_numbers_buses_and_opens_windows_for_what_is_behind()
    {
        _machine.AddOnRoot(5);
        _machine.Start();
        Assert.Equal(Port, _machine.Read(0, 2, 0));
        Assert.Equal(0x0604_0000u, _machine.Read(0, 2, 8));
        Assert.Equal(1u, _machine.Read(0, 2, 0x0e, 1));
        Assert.Equal(0x0001_0100u, _machine.Read(0, 2, Numbers));
        Assert.Equal(0x0002_0200u, _machine.Read(0, 3, Numbers));
        Assert.Equal(Device, _machine.Read(2, 0, 0));
        Assert.Equal(Device, _machine.Legacy(2, 0, 0));
        Assert.Equal(7u, _machine.Read(0, 3, Command, 2));
        Assert.All(_behind.Function.Bars.OfType<PciBar>(), bar => Assert.NotNull(bar.MappedAt));
        Assert.Equal(0x28u, Register(_behind, 8));
        Assert.Equal(_behind.Function.Bars[0]!.MappedAt, _behind.Region.Base?.Value);
        Assert.Equal(0x14u, _machine.Bus.ReadPort((ushort)(_behind.Function.Bars[1]!.MappedAt!.Value + 4), 1));

        // An empty slot with hot-plug has room for what comes; nothing overlaps.
        var windows = new[] { 2, 3 }.SelectMany(Windows).Where(window => window.Last > window.First).OrderBy(window => window.First)
            .ToArray();
        Assert.All(windows.Zip(windows.Skip(1)), pair => Assert.True(pair.First.Last < pair.Second.First, $"{pair}"));
        Assert.Equal([1u << 30, 2u << 20], Windows(2).Select(window => (uint)(window.Last + 1 - window.First)).Order().Reverse());
    }

    [Fact]
    public void Nobody_answers_but_where_numbers_lead()
    {
        _machine.Start();
        Assert.Equal(Nobody, _machine.Read(1, 0, 0));
        Assert.Equal(Nobody, _machine.Read(2, 1, 0));
        Assert.Equal(Nobody, _machine.Read(2, 31, 0));
        Assert.Equal(Nobody, _machine.Read(3, 0, 0));
        Assert.Equal(Nobody, _machine.Read(255, 0, 0));
        _machine.Write(0, 3, Numbers, 4, 0x0040_4000);
        Assert.Equal(Nobody, _machine.Read(2, 0, 0));
        Assert.Equal(Device, _machine.Read(0x40, 0, 0));
        Assert.Equal(Device, _machine.Legacy(0x40, 0, 0));
    }

    [Theory]
    [InlineData(0x00ff_0000u, 0, false)] // secondary 0: bus 0 is the root complex's
    [InlineData(0x0001_0200u, 2, false)] // subordinate below secondary
    [InlineData(0x0001_0200u, 1, false)]
    [InlineData(0x00ff_0200u, 2, true)]
    [InlineData(0x00ff_0200u, 77, false)] // forwarded, and nobody is there
    [InlineData(0x0002_0277u, 2, true)] // the primary number routes nothing
    [InlineData(0x00ff_ffffu, 255, true)]
    public void Numbers_that_make_no_sense_harm_nobody(uint numbers, int bus, bool found)
    {
        _machine.Start();
        _machine.Write(0, 3, Numbers, 4, numbers);
        _machine.Write(0, 2, Numbers, 4, 0);
        Assert.Equal(bus == 0 ? Nobody : found ? Device : Nobody, _machine.Read(bus, 0, bus == 0 ? 0x200 : 0));
        Assert.Equal(Port, _machine.Read(0, 3, 0));
    }

    [Fact]
    public void Of_bridges_that_claim_the_same_numbers_the_first_gets_the_request()
    {
        var other = _machine.AddBehind(_first, "other");
        _machine.Start();
        _machine.Write(0, 2, Numbers, 4, 0x00ff_0200);
        _machine.Write(0, 3, Numbers, 4, 0x00ff_0200);
        _machine.Write(2, 0, 0x3c, 1, 0x5a);
        Assert.Equal(0x5au, other.Function.ReadConfig(0x3c, 1));
        Assert.NotEqual(0x5au, _behind.Function.ReadConfig(0x3c, 1));
    }

    [Fact]
    public void A_BAR_is_decoded_while_the_window_covers_it()
    {
        _machine.Start();
        ulong registers = _behind.Function.Bars[2]!.MappedAt!.Value;
        ulong ports = _behind.Function.Bars[1]!.MappedAt!.Value;
        uint memory = _machine.Read(0, 3, MemoryWindow);
        uint io = _machine.Read(0, 3, IoWindow, 2);
        _machine.Write(0, 3, MemoryWindow, 4, 0x0000_fff0);
        Assert.Equal(Nobody, (uint)_machine.Bus.ReadMmio(new GuestPhysicalAddress(registers), 4));
        Assert.Null(_behind.Region.Base);
        Assert.Equal(0x10u, _machine.Bus.ReadPort((ushort)ports, 1));
        _machine.Write(0, 3, MemoryWindow, 4, memory);
        Assert.Equal(0x20u, Register(_behind, 0));
        Assert.NotNull(_behind.Region.Base);
        _machine.Write(0, 3, IoWindow, 2, 0x00f0);
        Assert.Equal(0xffu, _machine.Bus.ReadPort((ushort)ports, 1));
        _machine.Write(0, 3, IoWindow, 2, io);
        Assert.Equal(0x10u, _machine.Bus.ReadPort((ushort)ports, 1));

        // What the bridge does not forward is not there, wherever it is put.
        _machine.Write(2, 0, Bar0, 4, 0xdff0_0000);
        Assert.Null(_behind.Region.Base);
        _machine.Write(0, 3, MemoryWindow, 4, 0xdff0_dff0);
        Assert.Equal(0xdff0_0000UL, _behind.Region.Base?.Value);
    }

    [Fact]
    public void A_BAR_is_decoded_in_the_prefetchable_window_too()
    {
        _machine.Start();
        _machine.Write(0, 3, MemoryWindow, 4, 0x0000_fff0);
        _machine.Write(0, 3, PrefetchableWindow, 4, 0x0010_0000);
        _machine.Write(0, 3, PrefetchableWindow + 4, 4, 0x90);
        _machine.Write(0, 3, PrefetchableWindow + 8, 4, 0x90);
        Assert.Equal(0x0011_0001u, _machine.Read(0, 3, PrefetchableWindow));
        _machine.Write(2, 0, Bar2, 4, 0x0010_0000);
        _machine.Write(2, 0, Bar2 + 4, 4, 0x90);
        Assert.Equal(0x24u, (uint)_machine.Bus.ReadMmio(new GuestPhysicalAddress(0x90_0010_0004), 4));
        _machine.Write(0, 3, PrefetchableWindow + 8, 4, 0x8f);
        Assert.Equal(Nobody, (uint)_machine.Bus.ReadMmio(new GuestPhysicalAddress(0x90_0010_0004), 4));
    }

    [Theory]
    [InlineData(5u, true, false)]
    [InlineData(6u, false, true)]
    [InlineData(4u, false, false)]
    public void A_BAR_is_decoded_while_the_bridge_has_its_kind_of_access(uint command, bool io, bool memory)
    {
        _machine.Start();
        ulong ports = _behind.Function.Bars[1]!.MappedAt!.Value;
        _machine.Write(0, 3, Command, 2, command);
        Assert.Equal(io ? 0x10u : 0xff, _machine.Bus.ReadPort((ushort)ports, 1));
        Assert.Equal(memory, _behind.Region.Base is not null);
        _machine.Write(0, 3, Command, 2, 7);
        Assert.Equal(0x10u, _machine.Bus.ReadPort((ushort)ports, 1));
        Assert.NotNull(_behind.Region.Base);
    }

    [Fact]
    public void With_ISA_enable_ports_that_ISA_cards_alias_are_not_forwarded()
    {
        _machine.Start();
        ulong window = _behind.Function.Bars[1]!.MappedAt!.Value & ~0xfffUL;
        _machine.Write(0, 3, Control, 2, 4);
        _machine.Write(2, 0, Bar1, 4, (uint)window + 0x400);
        Assert.Equal(0x10u, _machine.Bus.ReadPort((ushort)(window + 0x400), 1));
        _machine.Write(2, 0, Bar1, 4, (uint)window + 0x500);
        Assert.Equal(0xffu, _machine.Bus.ReadPort((ushort)(window + 0x500), 1));
        _machine.Write(0, 3, Control, 2, 0);
        Assert.Equal(0x10u, _machine.Bus.ReadPort((ushort)(window + 0x500), 1));
    }

    [Fact]
    public void A_message_carries_the_number_of_its_bus_and_passes_while_the_bridge_masters()
    {
        _machine.Start();
        int msi = _machine.Capability(2, 0, 5);
        _machine.Write(2, 0, msi + 4, 4, 0xfee0_0000);
        _machine.Write(2, 0, msi + 12, 2, 0x41);
        _machine.Write(2, 0, msi + 2, 2, 1);
        _behind.Function.Signal(0);
        Assert.Equal(new MsiMessage(0xfee0_0000, 0x41, 0x200), Assert.Single(_machine.Router.Messages));
        Assert.True(_behind.Function.BusMaster);
        _machine.Write(0, 3, Command, 2, 3);
        Assert.False(_behind.Function.BusMaster);
        _behind.Function.Signal(0);
        Assert.Single(_machine.Router.Messages);
        _machine.Write(0, 3, Command, 2, 7);
        _machine.Write(0, 3, Numbers, 4, 0x0012_1200);
        _behind.Function.Signal(0);
        Assert.Equal(0x1200, _machine.Router.Messages[1].Requester);
        Assert.Equal(0x1200, _behind.Function.Requester);
    }

    [Fact]
    public void INTx_comes_out_of_the_bridge_rotated()
    {
        _machine.Start();
        _behind.Function.SetInterrupt(true);
        int gsi = PciInterrupts.GsiOf(new PciSlot(3, 0), 1);
        Assert.True(_machine.Router[gsi]);
        Assert.Equal((uint)gsi, _machine.Read(2, 0, 0x3c, 1));
        Assert.Equal(gsi, _second.SecondaryBus.GsiOf(new PciSlot(0, 0), 1));
        Assert.Equal(2, PciInterrupts.Swizzle(new PciSlot(5, 0), 1));
        Assert.Equal(1, PciInterrupts.Swizzle(new PciSlot(1, 0), 4));
    }

    [Fact]
    public void A_port_asleep_lets_nothing_through()
    {
        _machine.Start();
        int power = _machine.Capability(0, 3, 1);
        _machine.Write(0, 3, power + 4, 2, 3);
        Assert.Equal(Nobody, _machine.Read(2, 0, 0));
        Assert.Null(_behind.Region.Base);
        Assert.Equal(Port, _machine.Read(0, 3, 0));
        _machine.Write(0, 3, power + 4, 2, 0);
        Assert.Equal(Device, _machine.Read(2, 0, 0));
        Assert.NotNull(_behind.Region.Base);
    }

    [Fact]
    public void A_reset_of_the_secondary_bus_takes_away_what_was_set_up_behind_it()
    {
        _machine.Start();
        _machine.Write(0, 3, Control, 2, 0x40);
        Assert.Equal(Nobody, _machine.Read(2, 0, 0));
        Assert.Null(_behind.Region.Base);
        _machine.Write(0, 3, Control, 2, 0);
        Assert.Equal(Device, _machine.Read(2, 0, 0));
        Assert.Equal(0u, _machine.Read(2, 0, Command, 2));
        Assert.Equal(8u, _machine.Read(2, 0, Bar0));
    }

    [Fact]
    public void The_device_behind_a_port_is_an_endpoint_with_a_link_and_one_on_the_root_bus_is_integrated()
    {
        _machine.AddOnRoot(5);
        _machine.Start();
        int behind = _machine.Capability(2, 0, 0x10);
        Assert.Equal(0x0002u, _machine.Read(2, 0, behind + 2, 2));
        Assert.Equal(0x0011u, _machine.Read(2, 0, behind + 18, 2));
        int integrated = _machine.Capability(0, 5, 0x10);
        Assert.Equal(0x0092u, _machine.Read(0, 5, integrated + 2, 2));
        Assert.Equal(0u, _machine.Read(0, 5, integrated + 12));
    }

    [Fact]
    public void Capabilities_are_one_list_that_a_guest_cannot_bend()
    {
        _machine.Start();
        for (int register = 0x34; register < 0x100; register++)
        {
            _machine.Write(0, 2, register, 1, 0xff);
            _machine.Write(0, 3, register, 1, 0xff);
        }

        Assert.All((byte[])[0x01, 0x05, 0x10], id => Assert.NotEqual(0, _machine.Capability(0, 2, id)));
        Assert.Equal(0, _machine.Capability(0, 2, 0x99));
        int[] offsets = [.. ((byte[])[0x10, 0x01, 0x05]).Select(id => _machine.Capability(0, 2, id))];
        Assert.Equal([0x40, 0x7c, 0x84], offsets);
    }

    [Fact]
    public void Windows_that_overlap_or_lie_over_others_reach_nothing_that_is_not_PCI()
    {
        Assert.True(_machine.Memory.TryMap(_machine.Memory.CreateRegion("ram", GuestMemoryKind.Ram, 1 << 20), new GuestPhysicalAddress(0)));
        var other = _machine.AddBehind(_first, "other");
        _machine.Start();
        foreach (int port in new[] { 2, 3 })
        {
            _machine.Write(0, port, MemoryWindow, 4, 0xfff0_0000);
            _machine.Write(0, port, IoWindow, 2, 0xf000);
        }

        foreach (uint address in new uint[] { 0, 0xfee0_0000, (uint)PlatformMap.Direct.Ecam!.Base, 0xffff_0000 })
        {
            _machine.Write(2, 0, Bar0, 4, address);
            Assert.Null(_behind.Region.Base);
        }

        _machine.Write(2, 0, Bar0, 4, 0xd000_0000);
        _machine.Write(1, 0, Bar0, 4, 0xd000_0000);
        Assert.True(_behind.Region.Base is null ^ other.Region.Base is null);
    }

    [Fact]
    public void State_is_saved_and_loaded_with_what_is_behind()
    {
        _machine.Start();
        _machine.Write(0, 3, Numbers, 4, 0x0031_3000);
        _machine.Write(0, 3, MemoryWindow, 4, 0xd010_d000);
        _machine.Write(0x30, 0, Bar0, 4, 0xd010_0000);
        Assert.Equal(0xd010_0000UL, _behind.Region.Base?.Value);
        _machine.Tree.Stop();
        string json = JsonSerializer.Serialize(_machine.Tree.Save(), StateJson.Options);
        _machine.Tree.Reset();
        Assert.Null(_behind.Region.Base);
        _machine.Tree.Load(JsonSerializer.Deserialize<StateSection[]>(json, StateJson.Options)!);
        _machine.Tree.Start();
        Assert.Equal(0xd010_0000UL, _behind.Region.Base?.Value);
        Assert.Equal(Device, _machine.Read(0x30, 0, 0));
        _machine.Tree.Stop();
        Assert.Equal(json, JsonSerializer.Serialize(_machine.Tree.Save(), StateJson.Options));
    }

    [Fact]
    public void A_port_has_one_device_and_it_is_number_0()
    {
        using var memory = new GuestMemory();
        var device = new TestPciDevice("x", memory);
        Assert.Throws<ArgumentException>(() => _first.Attach(device, new PciSlot(1, 0).Number));
        Assert.Throws<ArgumentException>(() => _second.Attach(device, new PciSlot(0, 0).Number));
        _second.Attach(device, new PciSlot(0, 1).Number);
    }

    [Fact]
    public async Task A_slot_of_the_root_bus_is_free_again_when_its_device_is_gone()
    {
        var first = _machine.AddOnRoot(5, "five");
        _machine.Start();
        first.Function.SetInterrupt(true);
        Assert.True(_machine.Router[PciInterrupts.GsiOf(new PciSlot(5, 0), 1)]);
        await _machine.Tree.UnplugAsync(_machine.Tree.Find("five")!, TimeSpan.FromMinutes(1), TestContext.Current.CancellationToken);
        Assert.Equal(Nobody, _machine.Read(0, 5, 0));
        Assert.False(_machine.Router[PciInterrupts.GsiOf(new PciSlot(5, 0), 1)]);
        first.Function.SetInterrupt(true);
        Assert.False(_machine.Router[PciInterrupts.GsiOf(new PciSlot(5, 0), 1)]);
        var second = _machine.AddOnRoot(5, "again");
        _machine.Tree.Plug(_machine.Tree.Find("again")!);
        Assert.Equal(Device, _machine.Read(0, 5, 0));
        Assert.NotSame(first, second);
    }

    private (ulong First, ulong Last)[] Windows(int port)
    {
        uint memory = _machine.Read(0, port, MemoryWindow);
        uint prefetchable = _machine.Read(0, port, PrefetchableWindow);
        ulong high = _machine.Read(0, port, PrefetchableWindow + 4);
        ulong highLast = _machine.Read(0, port, PrefetchableWindow + 8);
        return
        [
            .. new[]
            {
                ((memory & 0xfff0UL) << 16, (memory & 0xfff0_0000UL) | 0xf_ffff),
                (((prefetchable & 0xfff0UL) << 16) | (high << 32), (prefetchable & 0xfff0_0000UL) | 0xf_ffff | (highLast << 32)),
            }.Where(window => window.Item2 > window.Item1),
        ];
    }

    private uint Register(TestPciDevice device, ulong offset) =>
        (uint)_machine.Bus.ReadMmio(new GuestPhysicalAddress(device.Function.Bars[2]!.MappedAt!.Value + offset), 4);
}
