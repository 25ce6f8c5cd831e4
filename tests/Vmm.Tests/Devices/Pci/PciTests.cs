using System.Text.Json;
using WebVm.Vmm.Devices;
using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Pci;
using WebVm.Vmm.Devices.Pci.HostBridge;
using WebVm.Vmm.Devices.Power.ResetRegister;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Memory;
using WebVm.Vmm.State;
using WebVm.Vmm.Tests.Devices.Doubles;
using Xunit;

namespace WebVm.Vmm.Tests.Devices.Pci;

public sealed class PciTests : IDisposable
{
    private const int Bar0 = 0x10, Bar1 = 0x14, Bar2 = 0x18, Command = 4, Status = 6;
    private readonly GuestMemory _memory = new();
    private readonly SystemBus _bus = new();
    private readonly RecordingRouter _router = new();
    private readonly RecordingSignals _signals = new();
    private readonly PciHostBridge _bridge;
    private readonly DeviceTree _tree;

    public PciTests()
    {
        Assert.True(_memory.TryMap(_memory.CreateRegion("ram", GuestMemoryKind.Ram, 1 << 20), new GuestPhysicalAddress(0)));
        _bridge = new PciHostBridge(_bus, _memory, _router, [.. Enumerable.Range(16, 4).Select(_router.Line)], new ResetControl(_signals));
        _tree = new DeviceTree(new BusConnector(_bus), _bridge);
        _tree.DeviceFailed += failure => Assert.Fail(failure.ToString());
        _tree.Add(_bridge);
    }

    public void Dispose()
    {
        _tree.Dispose();
        _memory.Dispose();
    }

    [Fact]
    public void Functions_are_found_by_both_ways_into_configuration_space()
    {
        Start(new TestPciDevice("a", _memory), 3);

        Assert.Equal(0x0008_1b36u, Legacy(0, 0));
        Assert.Equal(0x5678_1234u, Legacy(3, 0));
        Assert.Equal(0x5678_1234u, Ecam(3, 0, 4));
        Assert.Equal(0x1234u, Ecam(3, 0, 2));
        Assert.Equal(0x56u, Ecam(3, 3, 1));
        Assert.Equal(0xffff_ffffu, Legacy(4, 0));
        Assert.Equal(0xffff_ffffu, Ecam(4, 0, 4));
        Assert.Equal(0xffff_ffffu, (uint)_bus.ReadMmio(new GuestPhysicalAddress(PlatformMap.Direct.Ecam!.Base + (1 << 20)), 4));
        Assert.Equal(0u, Ecam(3, 0x100, 4));
        Assert.Equal(0xffff_ffffu, Ecam(0, 0x100, 4));
        _bus.WritePort(0xcf8, 4, 0x8000_1802);
        Assert.Equal(0x8000_1800u, _bus.ReadPort(0xcf8, 4));
        Assert.Equal(0x5678u, _bus.ReadPort(0xcfe, 2));
        _bus.WritePort(0xcf8, 4, 0x0000_1800);
        Assert.Equal(0xffff_ffffu, _bus.ReadPort(0xcfc, 4));
    }

    [Fact]
    public void The_reset_control_register_lies_among_the_configuration_ports()
    {
        Start();
        _bus.WritePort(0xcf8, 4, 0x8000_0600);
        Assert.Empty(_signals.Log);
        _bus.WritePort(0xcfb, 1, 1);
        _bus.WritePort(0xcf9, 1, 6);
        Assert.Equal(["reset ResetControl"], _signals.Log);
        Assert.Equal(0x8000_0600u, _bus.ReadPort(0xcf8, 4));
    }

    [Fact]
    public void A_BAR_tells_its_size_when_all_ones_are_written()
    {
        Start(new TestPciDevice("a", _memory), 3);
        foreach (int bar in new[] { Bar0, Bar1, Bar2, Bar2 + 4, Bar2 + 8, Bar2 + 12 })
        {
            EcamWrite(3, bar, 4, uint.MaxValue);
        }

        Assert.Equal(0xffff_0008u, Ecam(3, Bar0, 4));
        Assert.Equal(0x0000_ffe1u, Ecam(3, Bar1, 4));
        Assert.Equal(0xffff_f004u, Ecam(3, Bar2, 4));
        Assert.Equal(0xffff_ffffu, Ecam(3, Bar2 + 4, 4));
        Assert.Equal(0u, Ecam(3, Bar2 + 8, 4));
    }

    [Fact]
    public void A_BAR_is_decoded_where_the_guest_puts_it_and_only_while_enabled()
    {
        var device = new TestPciDevice("a", _memory);
        Start(device, 3);
        EcamWrite(3, Bar0, 4, 0xd000_0000);
        EcamWrite(3, Bar1, 4, 0x2000);
        EcamWrite(3, Bar2, 4, 0);
        EcamWrite(3, Bar2 + 4, 4, 0x90);
        Assert.Null(device.Region.Base);
        Assert.Equal(0xffu, _bus.ReadPort(0x2000, 1));
        EcamWrite(3, Command, 2, 3);
        Assert.Equal(new GuestPhysicalAddress(0xd000_0000), device.Region.Base);
        Assert.Equal(0x14u, _bus.ReadPort(0x2004, 1));
        Assert.Equal(0x28u, _bus.ReadMmio(new GuestPhysicalAddress(0x90_0000_0008), 4));

        EcamWrite(3, Bar0, 4, 0xd100_0000);
        EcamWrite(3, Bar2 + 4, 4, 0x91);
        Assert.Equal(new GuestPhysicalAddress(0xd100_0000), device.Region.Base);
        Assert.Equal(0xffffffffu, _bus.ReadMmio(new GuestPhysicalAddress(0x90_0000_0008), 4));
        Assert.Equal(0x28u, _bus.ReadMmio(new GuestPhysicalAddress(0x91_0000_0008), 4));
        EcamWrite(3, Command, 2, 0);
        Assert.Null(device.Region.Base);
        Assert.Equal(0xffu, _bus.ReadPort(0x2004, 1));
        Assert.Equal(0xffffffffu, _bus.ReadMmio(new GuestPhysicalAddress(0x91_0000_0008), 4));
    }

    [Theory]
    [InlineData(0x0000_0000u)] // RAM
    [InlineData(0xfee0_0000u)] // local APIC
    [InlineData(0xe000_0000u)] // configuration window
    [InlineData(0xffff_0000u)]
    public void A_BAR_outside_the_windows_is_not_there(uint address)
    {
        var device = new TestPciDevice("a", _memory);
        Start(device, 3);
        EcamWrite(3, Bar0, 4, address);
        EcamWrite(3, Bar2, 4, address);
        EcamWrite(3, Bar1, 4, 0x60);
        EcamWrite(3, Command, 2, 3);
        Assert.Null(device.Region.Base);
        Assert.Equal(0xffu, _bus.ReadPort(0x60, 1));
        Assert.DoesNotContain(_bus.Windows, window => window.Owner == device.Name);
    }

    [Fact]
    public void BARs_that_swap_their_places_both_arrive()
    {
        var one = new TestPciDevice("a", _memory);
        Start(one, 3);
        EcamWrite(3, Bar0, 4, 0xd000_0000);
        EcamWrite(3, Bar2, 4, 0xd800_0000);
        EcamWrite(3, Command, 2, 3);
        EcamWrite(3, Bar0, 4, 0xd800_0000);
        EcamWrite(3, Bar2, 4, 0xd000_0000);
        Assert.Equal(new GuestPhysicalAddress(0xd800_0000), one.Region.Base);
        Assert.Equal(0x20u, _bus.ReadMmio(new GuestPhysicalAddress(0xd000_0000), 4));
    }

    [Fact]
    public void Power_on_assignment_gives_every_BAR_a_place_of_its_own_and_an_interrupt()
    {
        TestPciDevice[] devices = [.. Enumerable.Range(0, 6).Select(i => new TestPciDevice($"d{i}", _memory, msix: 4))];
        foreach (var device in devices)
        {
            _tree.Add(device, "pci");
        }

        for (int i = 0; i < devices.Length; i++)
        {
            _bridge.Add(new PciSlot(i + 1, 0), devices[i].Function);
        }

        for (int round = 0; round < 2; round++)
        {
            if (round == 0)
            {
                _tree.PowerUp();
            }
            else
            {
                _tree.Stop();
                _tree.Reset();
            }

            PciResources.Assign(_bridge.RootBus);
            _tree.Start();
            var placed = devices.SelectMany(device => device.Function.Bars).OfType<PciBar>().ToArray();
            Assert.All(placed, bar => Assert.NotNull(bar.MappedAt));
            var memory = placed.Where(bar => bar.Kind != PciBarKind.Io).OrderBy(bar => bar.MappedAt).ToArray();
            for (int i = 1; i < memory.Length; i++)
            {
                Assert.True(memory[i - 1].MappedAt + memory[i - 1].Size <= memory[i].MappedAt);
            }

            Assert.Equal(17u, Ecam(1, 0x3c, 1));
            Assert.Equal(7u, Ecam(1, Command, 2));
        }
    }

    [Fact]
    public void The_place_of_a_BAR_is_known_before_the_guest_starts()
    {
        var device = new TestPciDevice("a", _memory);
        _tree.Add(device, "pci");
        _bridge.Add(new PciSlot(3, 0), device.Function);
        _tree.PowerUp();
        Assert.Null(device.Function.AddressOf(0));
        PciResources.Assign(_bridge.RootBus);
        ulong? address = device.Function.AddressOf(0);
        Assert.NotNull(address);
        Assert.Null(device.Region.Base);
        _tree.Start();
        Assert.Equal(address, device.Region.Base?.Value);
    }

    [Fact]
    public void INTx_reaches_the_line_of_its_slot_and_obeys_the_disable_bit()
    {
        var device = new TestPciDevice("a", _memory, pin: 2);
        Start(device, 3);
        device.Function.SetInterrupt(true);
        Assert.True(_router[16]);
        Assert.Equal(8u, Ecam(3, Status, 2) & 8);
        EcamWrite(3, Command, 2, 0x400);
        Assert.False(_router[16]);
        EcamWrite(3, Command, 2, 0);
        Assert.True(_router[16]);
        device.Function.SetInterrupt(false);
        Assert.False(_router[16]);
        Assert.Equal(0u, Ecam(3, Status, 2) & 8);
    }

    [Fact]
    public void MSI_sends_its_message_and_keeps_masked_vectors_pending()
    {
        var device = new TestPciDevice("a", _memory, msi: 4);
        Start(device, 3);
        int msi = Capability(3, 5);
        EcamWrite(3, msi + 4, 4, 0xfee0_1000);
        EcamWrite(3, msi + 12, 2, 0x4042);
        device.Function.Signal(1);
        Assert.Empty(_router.Messages);
        EcamWrite(3, Command, 2, 4);
        EcamWrite(3, msi + 2, 2, 0x21);
        device.Function.Signal(3);
        Assert.Equal(new MsiMessage(0xfee0_1000, 0x4043, 3 << 3), Assert.Single(_router.Messages));
        EcamWrite(3, msi + 16, 4, 2);
        device.Function.Signal(1);
        Assert.Single(_router.Messages);
        Assert.Equal(2u, Ecam(3, msi + 20, 4));
        EcamWrite(3, msi + 16, 4, 0);
        Assert.Equal(0x4041u, _router.Messages[1].Data);
        Assert.Equal(0u, Ecam(3, msi + 20, 4));
        device.Function.SetInterrupt(true);
        Assert.False(_router[19]);
    }

    [Fact]
    public void MSI_X_sends_from_its_table_and_keeps_masked_vectors_pending()
    {
        var device = new TestPciDevice("a", _memory, msix: 70);
        Start(device, 3);
        int msix = Capability(3, 0x11);
        ulong table = Place(device, 4);
        EcamWrite(3, msix + 2, 2, 0x8000);
        Assert.Equal(69u, Ecam(3, msix + 2, 2) & 0x7ff);
        device.Function.Signal(69);
        Assert.Empty(_router.Messages);
        ulong pending = table + Ecam(3, msix + 8, 4) - 4;
        Assert.Equal(1UL << 5, _bus.ReadMmio(new GuestPhysicalAddress(pending + 8), 8));
        _bus.WriteMmio(new GuestPhysicalAddress(table + (69 * 16)), 8, 0xfee0_2000);
        _bus.WriteMmio(new GuestPhysicalAddress(table + (69 * 16) + 8), 4, 0x55);
        Assert.Empty(_router.Messages);
        _bus.WriteMmio(new GuestPhysicalAddress(table + (69 * 16) + 12), 4, 0);
        Assert.Equal(new MsiMessage(0xfee0_2000, 0x55, 3 << 3), Assert.Single(_router.Messages));
        Assert.Equal(0UL, _bus.ReadMmio(new GuestPhysicalAddress(pending + 8), 8));

        EcamWrite(3, msix + 2, 2, 0xc000);
        device.Function.Signal(69);
        Assert.Single(_router.Messages);
        EcamWrite(3, msix + 2, 2, 0x8000);
        Assert.Equal(2, _router.Messages.Count);
        device.Function.Signal(70);
        device.Function.Signal(-1);
        Assert.Equal(2, _router.Messages.Count);
    }

    [Fact]
    public void A_message_to_anywhere_but_the_interrupt_window_goes_nowhere()
    {
        var device = new TestPciDevice("a", _memory, msi: 1);
        Start(device, 3);
        int msi = Capability(3, 5);
        EcamWrite(3, msi + 4, 4, 0x1000);
        EcamWrite(3, msi + 2, 2, 1);
        EcamWrite(3, Command, 2, 4);
        device.Function.Signal(0);
        Assert.Empty(_router.Messages);
    }

    [Fact]
    public void Functions_of_one_device_make_it_a_multi_function_device()
    {
        var first = new TestPciDevice("a", _memory);
        var second = new TestPciDevice("b", _memory);
        _tree.Add(first, "pci");
        _tree.Add(second, "pci");
        _bridge.Add(new PciSlot(5, 1), second.Function);
        _bridge.Add(new PciSlot(5, 0), first.Function);
        Assert.Throws<ArgumentException>(() => _bridge.Add(new PciSlot(5, 0), second.Function));
        _tree.PowerUp();
        _tree.Start();
        Assert.Equal(0x80u, Ecam(5, 0x0e, 1));
        Assert.Equal(0x5678_1234u, Legacy(5, 0, function: 1));
    }

    [Fact]
    public void State_survives_save_and_load_with_its_mappings()
    {
        var device = new TestPciDevice("a", _memory, msix: 3);
        Start(device, 3);
        ulong table = Place(device, 4);
        EcamWrite(3, Bar0, 4, 0xd200_0000);
        EcamWrite(3, Capability(3, 0x11) + 2, 2, 0x8000);
        device.Function.Signal(2);
        _bus.WriteMmio(new GuestPhysicalAddress(table), 8, 0xfee0_3000);
        _bus.WritePort(0xcf8, 4, 0x8000_1234);
        _tree.Stop();
        string json = JsonSerializer.Serialize(_tree.Save(), StateJson.Options);

        _tree.Reset();
        Assert.Null(device.Region.Base);
        _tree.Load(JsonSerializer.Deserialize<StateSection[]>(json, StateJson.Options)!);
        _tree.Start();
        Assert.Equal(new GuestPhysicalAddress(0xd200_0000), device.Region.Base);
        Assert.Equal(0xfee0_3000UL, _bus.ReadMmio(new GuestPhysicalAddress(table), 8));
        Assert.Equal(4UL, _bus.ReadMmio(new GuestPhysicalAddress(table + 0x800), 8));
        _tree.Stop();
        Assert.Equal(json, JsonSerializer.Serialize(_tree.Save(), StateJson.Options));
    }

    [Fact]
    public void A_saved_function_of_another_shape_is_refused()
    {
        var device = new TestPciDevice("a", _memory, msix: 3);
        var state = device.Save();
        Assert.Throws<InvalidDataException>(() => device.Load(state with { Config = new byte[256] }));
        Assert.Throws<InvalidDataException>(() => device.Load(state with { MsiX = null }));
        Assert.Throws<InvalidDataException>(() => device.Load(state with { MsiX = new MsiXState(new byte[16], new ulong[1]) }));
    }

    [Fact]
    public void A_guest_that_moves_a_BAR_while_others_use_it_harms_nobody()
    {
        var device = new TestPciDevice("a", _memory);
        Start(device, 3);
        EcamWrite(3, Bar2, 4, 0xd000_0000);
        EcamWrite(3, Bar0, 4, 0xd800_0000);
        EcamWrite(3, Command, 2, 3);
        bool stop = false;
        int wrong = 0;
        Thread[] users =
        [
            new(() =>
            {
                while (!Volatile.Read(ref stop))
                {
                    if (_bus.ReadMmio(new GuestPhysicalAddress(0xd000_0000), 4) is not (0x20 or 0xffff_ffff))
                    {
                        Interlocked.Increment(ref wrong);
                    }

                    _memory.TryWrite(new GuestPhysicalAddress(0xd800_0000), 1);
                    _memory.TryRead(new GuestPhysicalAddress(0xd900_0000), out int _);
                }
            }),
            new(() =>
            {
                while (!Volatile.Read(ref stop))
                {
                    EcamWrite(3, Bar2, 4, 0xd100_0000);
                    EcamWrite(3, Bar0, 4, 0xd900_0000);
                }
            }),
        ];
        Array.ForEach(users, user => user.Start());
        for (int i = 0; i < 500; i++)
        {
            EcamWrite(3, Bar2, 4, 0xd000_0000);
            EcamWrite(3, Bar0, 4, 0xd800_0000);
        }

        Volatile.Write(ref stop, true);
        Array.ForEach(users, user => user.Join());
        Assert.Equal(0, wrong);
        EcamWrite(3, Bar2, 4, 0xd000_0000);
        Assert.Equal(0x20u, _bus.ReadMmio(new GuestPhysicalAddress(0xd000_0000), 4));
    }

    private void Start(TestPciDevice? device = null, int slot = 0)
    {
        if (device is not null)
        {
            _tree.Add(device, "pci");
            _bridge.Add(new PciSlot(slot, 0), device.Function);
        }

        _tree.PowerUp();
        _tree.Start();
    }

    private ulong Place(TestPciDevice device, int bar)
    {
        PciResources.Assign(_bridge.RootBus);
        return device.Function.Bars[bar]!.MappedAt!.Value;
    }

    private int Capability(int device, byte id)
    {
        int at = (int)Ecam(device, 0x34, 1);
        while (at != 0 && Ecam(device, at, 1) != id)
        {
            at = (int)Ecam(device, at + 1, 1);
        }

        Assert.NotEqual(0, at);
        return at;
    }

    private uint Legacy(int device, int register, int function = 0)
    {
        _bus.WritePort(0xcf8, 4, 0x8000_0000u | ((uint)device << 11) | ((uint)function << 8) | (uint)register);
        return _bus.ReadPort(0xcfc, 4);
    }

    private uint Ecam(int device, int register, int size) => (uint)_bus.ReadMmio(Address(device, register), size);

    private void EcamWrite(int device, int register, int size, uint value) => _bus.WriteMmio(Address(device, register), size, value);

    private static GuestPhysicalAddress Address(int device, int register) =>
        new(PlatformMap.Direct.Ecam!.Base + ((ulong)device << 15) + (ulong)register);
}
