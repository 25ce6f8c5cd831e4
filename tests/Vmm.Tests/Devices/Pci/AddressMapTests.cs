using System.Text.Json;
using System.Text.Json.Nodes;
using WebVm.Vmm.Devices;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Pci;
using WebVm.Vmm.Devices.Pci.HostBridge;
using WebVm.Vmm.Memory;
using WebVm.Vmm.State;
using WebVm.Vmm.Tests.Devices.Doubles;
using Xunit;

namespace WebVm.Vmm.Tests.Devices.Pci;

/// <summary>
/// RAM, the configuration window and PCI's windows as firmware moves them by the registers of a Q35 memory controller hub.
/// </summary>
public sealed class AddressMapTests : IDisposable
{
    private const ulong Gigabyte = 1UL << 30, High = PlatformMap.HighMemory;
    private const int Pciexbar = 0x60, Pam0 = 0x90, Smram = 0x9d, Tolud = 0xb0, Command = 4, Bar0 = 0x10;
    private const uint Hub = 0x29c0_8086, Nobody = 0xffff_ffff;

    private readonly PciMachine _machine = new(HostBridgeChipset.Q35, 5 * Gigabyte);

    public void Dispose() => _machine.Dispose();

    [Fact]
    public void At_power_on_there_is_room_below_4_GiB_and_configuration_by_ports_alone()
    {
        _machine.Start(assign: false);
        Assert.Equal(Hub, _machine.Legacy(0, 0, 0));
        Assert.Equal(0x1100_1af4u, _machine.Legacy(0, 0, 0x2c));
        Assert.Equal(Nobody, Read(0xe000_0000));
        Assert.Equal(0xe000_0000u, _machine.Legacy(0, 0, Pciexbar));
        Assert.Equal(0x8000u, _machine.Legacy(0, 0, Tolud));
        Assert.Equal([(0UL, 0xa_0000UL), (0x10_0000UL, 0x8000_0000UL), (High, 7 * Gigabyte)], Ram());
    }

    [Theory]
    [InlineData(4UL << 20, 0x40u)]
    [InlineData((4UL << 20) + 4096, 0x50u)]
    [InlineData(2UL << 30, 0x8000u)]
    [InlineData(0xb000_0000UL, 0x8000u)]
    [InlineData(0xaff0_0000UL, 0xaff0u)]
    public void Low_memory_ends_at_power_on_where_firmware_expects_it(ulong ram, uint tolud)
    {
        using var machine = new PciMachine(HostBridgeChipset.Q35, ram);
        machine.Start(assign: false);
        Assert.Equal(tolud, machine.Legacy(0, 0, Tolud));
        Assert.Equal(Math.Min(ram, (ulong)tolud << 16), machine.Memory.Mappings.Last(mapping => mapping.At.Value < High).End.Value);
    }

    /// <summary>As SeaBIOS does: off, upper half, lower half with the enable bit.</summary>
    [Fact]
    public void The_configuration_window_is_where_firmware_puts_it()
    {
        _machine.AddOnRoot(5);
        _machine.Start(assign: false);
        SetEcam(0xb000_0001);
        Assert.Equal(new ConfigurationWindow(0xb000_0000, 256), _machine.Bridge.Map.Ecam);
        Assert.Equal(Hub, Read(0xb000_0000));
        Assert.Equal(0x5678_1234u, Read(0xb000_0000 + (5 << 15)));
        // From within itself, away.
        Write(0xb000_0000 + Pciexbar, 0xd000_0001);
        Assert.Equal(Nobody, Read(0xb000_0000));
        Assert.Equal(Hub, Read(0xd000_0000));
        Write(0xd000_0000 + Pciexbar, 0xd000_0000);
        Assert.Equal(Nobody, Read(0xd000_0000));
        Assert.Null(_machine.Bridge.Map.Ecam);
    }

    [Theory]
    [InlineData(0xb800_0003u, 0u, 0xb800_0000UL, 128)]
    [InlineData(0xbc00_0005u, 0u, 0xbc00_0000UL, 64)]
    [InlineData(0xbc00_0001u, 0u, 0xb000_0000UL, 256)] // bits below the length are no part of the base
    [InlineData(0x0000_0001u, 0xffu, 0xf_0000_0000UL, 256)]
    [InlineData(0xb000_0007u, 0u, 0UL, 0)] // the length is reserved
    [InlineData(0xb000_0000u, 0u, 0UL, 0)]
    public void Its_length_and_place_are_what_the_register_says(uint low, uint upper, ulong place, int buses)
    {
        _machine.Start(assign: false);
        SetEcam(low, upper);
        Assert.Equal(buses == 0 ? null : new ConfigurationWindow(place, buses), _machine.Bridge.Map.Ecam);
        if (buses > 0)
        {
            Assert.Equal(Hub, Read(place));
            Assert.Equal(Nobody, Read(place + ((ulong)buses << 20)));
        }
    }

    [Fact]
    public void Over_the_chipsets_own_devices_it_is_not_there()
    {
        _machine.Bus.Add(new MmioWindow(new(0xfec0_0000), 0x1000, new Answering(0x77)), "chip");
        _machine.Start(assign: false);
        SetEcam(0xf000_0001);
        Assert.Equal(0x77u, Read(0xfec0_0000));
        Assert.Equal(Hub, Read(0xf000_0000));
    }

    [Fact]
    public void RAM_behind_it_is_hidden_and_kept()
    {
        _machine.Start(assign: false);
        Mark(0x7000_0000, 1);
        Mark(0x6fff_f000, 2);
        SetEcam(0x7000_0001);
        Assert.Equal(Hub, Read(0x7000_0000));
        Assert.Equal([(0UL, 0xa_0000UL), (0x10_0000UL, 0x7000_0000UL), (High, 7 * Gigabyte)], Ram());
        Assert.Equal(2u, Marked(0x6fff_f000));
        SetEcam(0xb000_0001);
        Assert.Equal(1u, Marked(0x7000_0000));
        Assert.Equal([(0UL, 0xa_0000UL), (0x10_0000UL, 0x8000_0000UL), (High, 7 * Gigabyte)], Ram());
        SetEcam(0x4000_0001, 1);
        Assert.Equal((High, High + 0x4000_0000), Ram()[2]);
        Assert.Equal((High + 0x5000_0000, 7 * Gigabyte), Ram()[3]);
    }

    [Fact]
    public void RAM_that_does_not_lie_below_goes_on_at_4_GiB()
    {
        _machine.Start(assign: false);
        Mark(High + 0x1000_0000, 7);
        _machine.WriteLegacy(0, 0, Tolud, 2, 0xc000);
        Assert.Equal(7u, Marked(0x9000_0000));
        Assert.Equal([(0UL, 0xa_0000UL), (0x10_0000UL, 0xc000_0000UL), (High, 6 * Gigabyte)], Ram());
        _machine.WriteLegacy(0, 0, Tolud, 2, 0);
        Assert.Equal(7u, Marked(High + 0x8ff0_0000));
        Assert.Equal([(0UL, 0xa_0000UL), (High, (9 * Gigabyte) - 0x10_0000)], Ram());
        _machine.WriteLegacy(0, 0, Tolud, 2, 0xffff);
        Assert.Equal(7u, Marked(0x9000_0000));
        Assert.Equal(0xfec0_0000UL, _machine.Bridge.Map.LowMemoryEnd);
    }

    [Fact]
    public void A_BAR_goes_where_RAM_comes_and_is_there_again_when_it_leaves()
    {
        var device = _machine.AddOnRoot(5);
        _machine.Start(assign: false);
        SetEcam(0xd000_0001);
        Place(0xa000_0000);
        Assert.Equal(0xa000_0000UL, device.Region.Base?.Value);
        _machine.WriteLegacy(0, 0, Tolud, 2, 0xc000);
        Assert.Null(device.Region.Base);
        Mark(0xa000_0000, 3);
        Assert.Equal(GuestMemoryKind.Ram, _machine.Memory.Find(new(0xa000_0000))!.Kind);
        _machine.WriteLegacy(0, 0, Tolud, 2, 0x9000);
        Assert.Equal(0xa000_0000UL, device.Region.Base?.Value);

        // And where the configuration window comes.
        SetEcam(0xa000_0001);
        Assert.Null(device.Region.Base);
        SetEcam(0xd000_0001);
        Assert.Equal(0xa000_0000UL, device.Region.Base?.Value);
        Place(0xfebf_0000);
        Assert.Equal(0xfebf_0000UL, device.Region.Base?.Value);
        Place(0xfec0_0000);
        Assert.Null(device.Region.Base);

        void Place(uint address)
        {
            _machine.WriteLegacy(0, 5, Bar0, 4, address);
            _machine.WriteLegacy(0, 5, Command, 2, 2);
        }
    }

    [Theory]
    [InlineData(0, 0xf_0000UL, 0xf_ffffUL, 4)]
    [InlineData(1, 0xc_0000UL, 0xc_3fffUL, 0)]
    [InlineData(1, 0xc_4000UL, 0xc_7fffUL, 4)]
    [InlineData(4, 0xd_8000UL, 0xd_bfffUL, 0)]
    [InlineData(6, 0xe_c000UL, 0xe_ffffUL, 4)]
    public void Each_segment_is_read_and_written_in_RAM_or_on_the_bus(int register, ulong first, ulong last, int shift)
    {
        _machine.Start(assign: false);
        Pam(0);
        Assert.Equal(BackingKind.Bus, Kind(first));
        Assert.Equal(0xffu, Read(last, 1));
        Pam(3);
        Assert.Equal((BackingKind.Memory, BackingKind.Memory), (Kind(first), Kind(last)));
        Assert.Equal((BackingKind.Bus, last == 0xf_ffff ? BackingKind.Memory : BackingKind.Bus), (Kind(first - 1), Kind(last + 1)));
        Assert.True(_machine.Memory.TryWrite(new(last - 3), 0x1122_3344u));
        Pam(1);
        Assert.Equal((BackingKind.WritesToBus, BackingKind.WritesToBus), (Kind(first), Kind(last)));
        Write(last - 3, 0x5566_7788);
        Assert.True(_machine.Memory.TryRead(new(last - 3), out uint kept));
        Assert.Equal(0x1122_3344u, kept);
        // As firmware copies a ROM into the RAM behind it.
        Pam(2);
        Assert.Equal(BackingKind.Bus, Kind(first));
        Assert.Equal(Nobody, Read(last - 3));
        Write(last - 3, 0x99aa_bbcc);
        Write(first, 0x0102_0304);
        Pam(1);
        Assert.True(_machine.Memory.TryRead(new(last - 3), out kept));
        Assert.Equal(0x99aa_bbccu, kept);
        Assert.True(_machine.Memory.TryRead(new(first), out kept));
        Assert.Equal(0x0102_0304u, kept);

        void Pam(uint access) => _machine.WriteLegacy(0, 0, Pam0 + register, 1, access << shift);
    }

    [Fact]
    public void SMRAM_is_RAM_while_it_is_open_and_locked_it_is_closed_until_a_reset()
    {
        _machine.Start(assign: false);
        Assert.Equal(BackingKind.Bus, Kind(0xa_0000));
        _machine.WriteLegacy(0, 0, Smram, 1, 0x4a);
        Assert.Equal((BackingKind.Memory, BackingKind.Memory), (Kind(0xa_0000), Kind(0xb_ffff)));
        _machine.WriteLegacy(0, 0, Smram, 1, 0x5a);
        Assert.Equal(0x1au, (_machine.Legacy(0, 0, Smram & 0xfc) >> 8) & 0xff);
        Assert.Equal(BackingKind.Bus, Kind(0xa_0000));
        _machine.WriteLegacy(0, 0, Smram, 1, 0x48);
        Assert.Equal(0x1au, (_machine.Legacy(0, 0, Smram & 0xfc) >> 8) & 0xff);
        _machine.Tree.Stop();
        _machine.Tree.Reset();
        _machine.Tree.Start();
        _machine.WriteLegacy(0, 0, Smram, 1, 0x4a);
        Assert.Equal(BackingKind.Memory, Kind(0xa_0000));
    }

    [Fact]
    public void Direct_boot_sets_the_same_map_by_registers_as_a_bridge_has_without_them()
    {
        using var generic = new PciMachine(HostBridgeChipset.Generic, 5 * Gigabyte);
        var mine = _machine.AddOnRoot(5);
        var other = generic.AddOnRoot(5);
        _machine.AddPort(6);
        generic.AddPort(6);
        foreach (var machine in new[] { _machine, generic })
        {
            machine.Tree.PowerUp();
            machine.Bridge.SetUp();
            machine.Tree.Start();
        }

        Assert.Equal(PlatformMap.Direct, generic.Bridge.Map);
        Assert.Equal(
            (PlatformMap.Direct.LowMemoryEnd, PlatformMap.Direct.Ecam), (_machine.Bridge.Map.LowMemoryEnd, _machine.Bridge.Map.Ecam));
        Assert.Equal(other.Function.Bars.Select(bar => bar?.MappedAt), mine.Function.Bars.Select(bar => bar?.MappedAt));
        Assert.Equal(
            Enumerable.Range(6, 12).Select(word => generic.Read(0, 6, 4 * word)),
            Enumerable.Range(6, 12).Select(word => _machine.Read(0, 6, 4 * word)));
        Assert.Equal([(0UL, 0xa_0000UL), (0xc_0000UL, 0xc000_0000UL), (High, 6 * Gigabyte)], Ram());
        Assert.Equal(
            [new AddressWindow(0xc000_0000, 0xe000_0000), new AddressWindow(0xf000_0000, 0xfec0_0000)], _machine.Bridge.Map.Windows32);
    }

    [Fact]
    public void The_configuration_window_is_no_part_of_what_functions_may_have()
    {
        const ulong size = 256 << 20;
        var map = PlatformMap.Direct with { Ecam = new(PlatformMap.HighPci + size, PlatformMap.MaximumBuses) };
        Assert.Equal([map.Memory32], map.Windows32);
        Assert.Equal(
            [
                new AddressWindow(map.Memory64.First, map.Memory64.First + size),
                new AddressWindow(map.Memory64.First + (2 * size), map.Memory64.End),
            ],
            map.Windows64);
    }

    [Fact]
    public void The_map_is_saved_with_its_registers_and_loaded_into_a_machine_that_has_another()
    {
        _machine.Start(assign: false);
        SetEcam(0xb800_0003);
        _machine.WriteLegacy(0, 0, Pam0 + 2, 1, 0x31);
        _machine.WriteLegacy(0, 0, Tolud, 2, 0xa000);
        _machine.Tree.Stop();
        string saved = JsonSerializer.Serialize(_machine.Tree.Save(), StateJson.Options);
        using var other = new AddressMapTests();
        other._machine.Tree.PowerUp();
        other._machine.Tree.Load(JsonSerializer.Deserialize<StateSection[]>(saved, StateJson.Options)!);
        other._machine.Tree.Start();
        Assert.Equal(_machine.Bridge.Map, other._machine.Bridge.Map);
        Assert.Equal(_machine.Memory.Mappings.Select(Seen), other._machine.Memory.Mappings.Select(Seen));
        Assert.Equal(Hub, other.Read(0xb800_0000));
        other._machine.Tree.Stop();
        Assert.Equal(saved, JsonSerializer.Serialize(other._machine.Tree.Save(), StateJson.Options));

        static (ulong, ulong, BackingKind) Seen(GuestMapping mapping) => (mapping.At.Value, mapping.Size, mapping.Kind);
    }

    [Fact]
    public void A_bridge_without_registers_goes_on_with_the_map_of_its_state_until_it_is_reset()
    {
        using var machine = new PciMachine(HostBridgeChipset.Generic, 5 * Gigabyte);
        machine.Start();
        var state = machine.Bridge.Save();
        Assert.Equal(PlatformMap.Direct, state.Map);
        var moved = new PlatformMap(0x8000_0000, new(0xa000_0000, 256), new(0xb000_0000, 0xfec0_0000), PlatformMap.Direct.Memory64);
        machine.Bridge.Load(state with { Map = moved });
        Assert.Equal(moved, machine.Bridge.Map);
        Assert.Equal(0x0008_1b36u, (uint)machine.Bus.ReadMmio(new(0xa000_0000), 4));
        Assert.Equal(Nobody, (uint)machine.Bus.ReadMmio(new(0xe000_0000), 4));
        Assert.Equal(7 * Gigabyte, machine.Memory.Mappings[^1].End.Value);
        machine.Tree.Stop();
        machine.Tree.Reset();
        machine.Tree.Start();
        Assert.Equal(0x0008_1b36u, (uint)machine.Bus.ReadMmio(new(0xe000_0000), 4));
        Assert.Equal(6 * Gigabyte, machine.Memory.Mappings[^1].End.Value);
    }

    [Fact]
    public void A_state_of_earlier_builds_has_the_map_that_all_machines_had()
    {
        using var machine = new PciMachine();
        machine.Start();
        machine.Tree.Stop();
        var section = machine.Tree.Save().Single();
        var body = JsonNode.Parse(section.Body.GetRawText())!.AsObject();
        body.Remove("map");
        var earlier = section with { Version = 1, Body = JsonSerializer.SerializeToElement(body) };
        Assert.Equal(PlatformMap.Direct, ((PciHostBridge.State)machine.Bridge.Schema.ReadRecord(earlier)).Map);
        machine.Tree.Load([earlier]);
    }

    [Theory]
    [InlineData(0xc000_0001UL, null, 256, 0xc010_0000UL, 0xe000_0000UL, 0x80_0000_0000UL, 0x100_0000_0000UL)]
    [InlineData(0UL, null, 256, 0xc000_0000UL, 0xe000_0000UL, 0x80_0000_0000UL, 0x100_0000_0000UL)]
    [InlineData(0xc000_0000UL, 1UL, 256, 0xc000_0000UL, 0xe000_0000UL, 0x80_0000_0000UL, 0x100_0000_0000UL)]
    [InlineData(0xc000_0000UL, 0UL, -1, 0xc000_0000UL, 0xe000_0000UL, 0x80_0000_0000UL, 0x100_0000_0000UL)]
    [InlineData(0xc000_0000UL, 0xffff_ffff_f000_0000UL, 256, 0xc000_0000UL, 0xe000_0000UL, 0x80_0000_0000UL, 0x100_0000_0000UL)]
    [InlineData(0xc000_0000UL, null, 256, 0UL, 0xe000_0000UL, 0x80_0000_0000UL, 0x100_0000_0000UL)]
    [InlineData(0xc000_0000UL, null, 256, 0xc000_0000UL, 0x1_0000_0000UL, 0x80_0000_0000UL, 0x100_0000_0000UL)]
    [InlineData(0xc000_0000UL, null, 256, 0xe000_0000UL, 0xd000_0000UL, 0x80_0000_0000UL, 0x100_0000_0000UL)]
    [InlineData(0xc000_0000UL, null, 256, 0xc000_0000UL, 0xe000_0000UL, 0x10_0000UL, 0x100_0000_0000UL)]
    [InlineData(0xc000_0000UL, null, 256, 0xc000_0000UL, 0xe000_0000UL, 0x80_0000_0000UL, ulong.MaxValue)]
    public void A_map_that_makes_no_sense_is_refused_and_changes_nothing(
        ulong low, ulong? ecam, int buses, ulong first32, ulong end32, ulong first64, ulong end64) =>
        RefusesMap(new PlatformMap(low, ecam is { } at ? new(at, buses) : null, new(first32, end32), new(first64, end64)));

    [Fact]
    public void A_bridge_without_registers_needs_a_map() => RefusesMap(null);

    private static void RefusesMap(PlatformMap? map)
    {
        using var machine = new PciMachine(HostBridgeChipset.Generic, Gigabyte);
        machine.Start();
        machine.Tree.Stop();
        var section = machine.Tree.Save().Single();
        var body = JsonNode.Parse(section.Body.GetRawText())!.AsObject();
        body["map"] = JsonSerializer.SerializeToNode(map, StateJson.Options);
        Assert.Throws<InvalidDataException>(() => machine.Tree.Load([section with { Body = JsonSerializer.SerializeToElement(body) }]));
        Assert.Equal(PlatformMap.Direct, machine.Bridge.Map);
        machine.Tree.Start();
        Assert.Equal(0x0008_1b36u, machine.Read(0, 0, 0));
    }

    [Fact]
    public void A_bridge_with_registers_takes_no_map_beside_them()
    {
        _machine.Start(assign: false);
        Assert.Throws<InvalidDataException>(() => _machine.Bridge.Load(_machine.Bridge.Save() with { Map = PlatformMap.Direct }));
    }

    [Fact]
    public void Guests_that_move_all_of_it_at_once_end_with_what_the_registers_say()
    {
        var device = _machine.AddOnRoot(5);
        _machine.Start(assign: false);
        SetEcam(0xb000_0001);
        var threads = Enumerable.Range(0, 4).Select(seed => new Thread(() => Play(new Random(seed)))).ToArray();
        Array.ForEach(threads, thread => thread.Start());
        Assert.All(threads, thread => Assert.True(thread.Join(TimeSpan.FromMinutes(2))));
        SetEcam(0xb000_0001);
        _machine.WriteLegacy(0, 0, Tolud, 2, 0x8000);
        _machine.WriteLegacy(0, 5, Bar0, 4, 0xa000_0000);
        _machine.WriteLegacy(0, 5, Command, 2, 2);
        Assert.Equal(0xa000_0000UL, device.Region.Base?.Value);
        Assert.Equal(Hub, Read(0xb000_0000));
        Assert.Equal(0x8000_0000UL, Ram().Last(range => range.First < High).End);

        void Play(Random random)
        {
            for (int i = 0; i < 400; i++)
            {
                uint value = (uint)random.NextInt64(1L << 32);
                int register = random.Next(5) switch { 0 =>
                    Pciexbar, 1 => Pciexbar + 4, 2 => Pam0 + random.Next(7), 3 => Smram, _ => Tolud };
                _machine.Bridge.Function.WriteConfig(register, 1 << random.Next(3), value);
                device.Function.WriteConfig(random.Next(2) == 0 ? Bar0 : Command, 4, value);
                Read(value & ~3u);
                _machine.Memory.TryRead(new(value & ~3u), out uint _);
            }
        }
    }

    /// <summary>What of RAM the guest sees, in one piece each.</summary>
    private List<(ulong First, ulong End)> Ram()
    {
        var pieces = new List<(ulong First, ulong End)>();
        foreach (var mapping in _machine.Memory.Mappings.Where(mapping => mapping.Region.Kind == GuestMemoryKind.Ram))
        {
            if (pieces.Count > 0 && pieces[^1].End == mapping.At.Value)
            {
                pieces[^1] = (pieces[^1].First, mapping.End.Value);
            }
            else
            {
                pieces.Add((mapping.At.Value, mapping.End.Value));
            }
        }

        return pieces;
    }

    private void SetEcam(uint low, uint upper = 0)
    {
        _machine.WriteLegacy(0, 0, Pciexbar, 4, 0);
        _machine.WriteLegacy(0, 0, Pciexbar + 4, 4, upper);
        _machine.WriteLegacy(0, 0, Pciexbar, 4, low);
    }

    private BackingKind Kind(ulong address) => _machine.Memory.Resolve(new(address)).Kind;

    private void Mark(ulong address, uint value) => Assert.True(_machine.Memory.TryWrite(new(address), value));

    private uint Marked(ulong address) => _machine.Memory.TryRead(new(address), out uint value) ? value : Nobody;

    private uint Read(ulong address, int size = 4) => (uint)_machine.Bus.ReadMmio(new(address), size);

    private void Write(ulong address, uint value) => _machine.Bus.WriteMmio(new(address), 4, value);

    private sealed class Answering(ulong value) : IMmioHandler
    {
        public ulong ReadMmio(ulong offset, int size) => value;

        public void WriteMmio(ulong offset, int size, ulong written)
        {
        }
    }
}
