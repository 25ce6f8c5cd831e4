using System.Buffers.Binary;
using System.Text;
using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.FirmwareConfig;
using WebVm.Vmm.Memory;
using Xunit;

namespace WebVm.Vmm.Tests.Devices.FirmwareConfig;

public sealed class FwCfgTests : IDisposable
{
    private const ushort Selector = FwCfg.Port, Data = FwCfg.Port + 1, DmaHigh = FwCfg.Port + 4, DmaLow = FwCfg.Port + 8;
    private readonly GuestMemory _memory = new();
    private readonly FwCfgItems _items = new();
    private readonly SystemBus _bus = new();

    public FwCfgTests()
    {
        Assert.True(_memory.TryMap(_memory.CreateRegion("ram", GuestMemoryKind.Ram, 1 << 20), new GuestPhysicalAddress(0)));
        Assert.True(_memory.TryMap(_memory.CreateRegion("rom", GuestMemoryKind.Rom, 1 << 16), new GuestPhysicalAddress(1 << 20)));
        foreach (var window in new FwCfg(new DmaSpace(_memory), _items).PortWindows)
        {
            _bus.Add(window, "fw-cfg");
        }
    }

    public void Dispose() => _memory.Dispose();

    [Fact]
    public void The_signature_and_the_DMA_capability_are_announced()
    {
        Assert.Equal("QEMU", Encoding.ASCII.GetString(ReadItem(FwCfgKey.Signature, 4)));
        Assert.Equal(3u, BinaryPrimitives.ReadUInt32LittleEndian(ReadItem(FwCfgKey.InterfaceVersion, 4)));
        Assert.Equal(0x554d4551u, _bus.ReadPort(DmaHigh, 4));
        Assert.Equal(0x47464320u, _bus.ReadPort(DmaLow, 4));
    }

    [Fact]
    public void Files_are_listed_in_the_directory_and_read_by_their_selector()
    {
        _items.AddFile("etc/b", new byte[] { 1, 2, 3 });
        _items.AddFile("etc/a", new byte[] { 4, 5 });
        byte[] directory = ReadItem(FwCfgKey.FileDirectory, 4 + 128);
        Assert.Equal(2u, BinaryPrimitives.ReadUInt32BigEndian(directory));
        Assert.Equal(2u, BinaryPrimitives.ReadUInt32BigEndian(directory.AsSpan(4)));
        ushort selector = BinaryPrimitives.ReadUInt16BigEndian(directory.AsSpan(8));
        Assert.Equal("etc/a", Encoding.ASCII.GetString(directory, 12, 56).TrimEnd('\0'));
        Assert.Equal(selector, _items.SelectorOf("etc/a"));
        Assert.Equal([4, 5, 0, 0], ReadItem(selector, 4));
        Assert.Equal([1, 2, 3, 0], ReadItem((ushort)(selector + 1), 4));
    }

    [Fact]
    public void DMA_copies_an_item_into_memory_and_reports_success()
    {
        byte[] content = [.. Enumerable.Range(0, 1000).Select(i => (byte)i)];
        _items.AddFile("opt/data", content);
        ushort key = _items.SelectorOf("opt/data")!.Value;

        Assert.Equal(0u, Dma(0x1000, ((uint)key << 16) | 8 | 2, 600, 0x8000));
        Assert.Equal(0u, Dma(0x1000, 4, 100, 0));
        Assert.Equal(0u, Dma(0x1000, 2, 400, 0x9000));

        byte[] first = new byte[600];
        byte[] second = new byte[400];
        _memory.TryRead(new GuestPhysicalAddress(0x8000), first);
        _memory.TryRead(new GuestPhysicalAddress(0x9000), second);
        Assert.Equal(content[..600], first);
        Assert.Equal([.. content[700..], .. new byte[100]], second);
    }

    [Theory]
    [InlineData(0xfffffUL, 16u)] // runs into the ROM
    [InlineData(0x100000UL, 16u)] // is the ROM
    [InlineData(0xffff_ffff_ffff_fff0UL, 64u)]
    [InlineData(0x0UL, 0xffff_ffffu)]
    [InlineData(0x8000_0000UL, 1u)]
    public void DMA_to_where_there_is_no_RAM_fails_and_changes_nothing(ulong address, uint length)
    {
        _memory.TryFill(new GuestPhysicalAddress(0x100000), 16, 0x55);
        Assert.Equal(0x01000000u, Dma(0x2000, (FwCfgKey.Signature << 16) | 8 | 2, length, address));
        _memory.TryRead(new GuestPhysicalAddress(0x100000), out ulong rom);
        Assert.Equal(0x5555555555555555UL, rom);
    }

    [Fact]
    public void Items_cannot_be_written_and_a_descriptor_outside_RAM_is_ignored()
    {
        Assert.Equal(0x01000000u, Dma(0x2000, (FwCfgKey.Signature << 16) | 8 | 16, 4, 0));
        _bus.WritePort(Data, 1, 'x');
        Assert.Equal("QEMU", Encoding.ASCII.GetString(ReadItem(FwCfgKey.Signature, 4)));
        foreach (ulong address in new[] { 0x100000UL, 0xffff8UL, ulong.MaxValue, 0x7fff_ffff_ffffUL })
        {
            Dma(address, 2, 4, 0);
        }

        _memory.TryRead(new GuestPhysicalAddress(0x100000), out ulong rom);
        Assert.Equal(0UL, rom);
    }

    private byte[] ReadItem(ushort key, int count)
    {
        _bus.WritePort(Selector, 2, key);
        return [.. Enumerable.Range(0, count).Select(_ => (byte)_bus.ReadPort(Data, 1))];
    }

    private uint Dma(ulong descriptor, uint control, uint length, ulong address)
    {
        byte[] raw = new byte[16];
        BinaryPrimitives.WriteUInt32BigEndian(raw, control);
        BinaryPrimitives.WriteUInt32BigEndian(raw.AsSpan(4), length);
        BinaryPrimitives.WriteUInt64BigEndian(raw.AsSpan(8), address);
        if (descriptor < 0x100000 - 16)
        {
            _memory.TryWrite(new GuestPhysicalAddress(descriptor), raw);
        }

        _bus.WritePort(DmaHigh, 4, BinaryPrimitives.ReverseEndianness((uint)(descriptor >> 32)));
        _bus.WritePort(DmaLow, 4, BinaryPrimitives.ReverseEndianness((uint)descriptor));
        _memory.TryRead(new GuestPhysicalAddress(descriptor), out uint result);
        return result;
    }
}
