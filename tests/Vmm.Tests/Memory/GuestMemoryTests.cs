using WebVm.Vmm.Memory;
using Xunit;

namespace WebVm.Vmm.Tests.Memory;

public sealed class GuestMemoryTests : IDisposable
{
    private const ulong Page = 4096;

    private readonly GuestMemory _memory = new();
    private readonly GuestMemoryRegion _ram;
    private readonly GuestMemoryRegion _rom;

    public GuestMemoryTests()
    {
        _ram = _memory.CreateRegion("ram", GuestMemoryKind.Ram, 4 << 20);
        _rom = _memory.CreateRegion("rom", GuestMemoryKind.Rom, 1 << 16);
        Assert.True(_memory.TryMap(_ram, new(0)));
    }

    public void Dispose() => _memory.Dispose();

    [Fact]
    public void A_region_is_seen_in_two_places()
    {
        Assert.True(_memory.TryMap(_rom, new(0xffff_0000)));
        Assert.True(_memory.TryMap(new GuestMapping(new(0x80_0000), _rom, 0x8000, 0x8000, BackingKind.ReadOnly)));
        Assert.True(_memory.TryWrite(new(0xffff_8010), 0x1122_3344));
        Assert.True(_memory.TryRead(new(0x80_0010), out int value));
        Assert.Equal(0x1122_3344, value);
        Assert.Equal([_ram, _rom], _memory.Regions);
        Assert.Equal(new GuestPhysicalAddress(0xffff_0000), _rom.Base);
        _memory.Unmap(_rom);
        Assert.Null(_rom.Base);
        Assert.False(_memory.TryRead(new(0x80_0010), out value));
        Assert.False(_memory.TryRead(new(0xffff_8010), out value));
    }

    [Fact]
    public void A_region_that_is_released_is_seen_nowhere_and_its_place_is_nobodys()
    {
        var region = _memory.CreateRegion("card", GuestMemoryKind.Device, 8 << 20);
        Assert.True(_memory.TryMap(region, new(0x1000_0000)));
        Assert.True(_memory.TryMap(region, new(0x2000_0000)));
        Assert.True(_memory.TryWrite(new(0x1000_0008), 5));
        using var watch = _memory.Watch(region);
        _memory.WatchCode(region.System.Page);
        _memory.Release(region);
        _memory.Release(region);
        Assert.False(_memory.TryRead(new(0x1000_0008), out int _));
        Assert.False(_memory.TryRead(new(0x2000_0008), out int _));
        Assert.False(watch.Collect(new ulong[watch.Words]));
        Assert.False(_memory.TryMap(region, new(0x1000_0000)));
        var again = new GuestMapping(new(0x1000_0000), region, 0, Page, BackingKind.Memory);
        Assert.Throws<ArgumentException>(() => _memory.Remap(again.At, Page, again));
        Assert.Throws<ObjectDisposedException>(() => _memory.Watch(region));
        Assert.Equal([_ram, _rom], _memory.AllRegions);
        unsafe
        {
            // A thread that was late reads and writes nothing of anybody's.
            int* late = (int*)(_memory.Host(region.System) + 8);
            Assert.Equal(0, *late);
            *late = 6;
        }

        Assert.True(_memory.CreateRegion("next", GuestMemoryKind.Device, Page).System.Value >= region.System.Value + region.Size);
    }

    [Fact]
    public void A_part_is_remapped_and_comes_back_in_one_piece()
    {
        Assert.True(_memory.TryWrite(new(0xc_0000), (byte)1));
        Assert.True(_memory.TryWrite(new(0xc_4000), (byte)2));
        _memory.Remap(new(0xc_0000), 0x4000, new GuestMapping(new(0xc_0000), _rom, 0, 0x4000, BackingKind.ReadOnly));
        Assert.Equal(3, _memory.Mappings.Count);
        Assert.Equal(BackingKind.ReadOnly, _memory.Resolve(new(0xc_0000)).Kind);
        Assert.True(_memory.TryRead(new(0xc_0000), out byte value));
        Assert.Equal(0, value);
        Assert.True(_memory.TryRead(new(0xc_4000), out value));
        Assert.Equal(2, value);

        _memory.Remap(new(0xc_0000), 0x4000, new GuestMapping(new(0xc_0000), _ram, 0xc_0000, 0x4000, BackingKind.Memory));
        Assert.Equal(new GuestMapping(new(0), _ram), Assert.Single(_memory.Mappings));
        Assert.True(_memory.TryRead(new(0xc_0000), out value));
        Assert.Equal(1, value);
    }

    [Fact]
    public void A_hole_is_not_memory()
    {
        _memory.Remap(new(0xa_0000), 0x2_0000);
        Assert.False(_memory.Contains(new(0x9_fff8), 16));
        Assert.False(_memory.TryWrite(new(0x9_fff8), new byte[16]));
        Assert.True(_memory.TryRead(new(0x9_fff8), out ulong unchanged));
        Assert.Equal(0UL, unchanged);
        Assert.True(_memory.Contains(new(0xc_0000), 0x10_0000));
        Assert.Null(_memory.Find(new(0xa_0000)));
    }

    [Fact]
    public void Accesses_go_on_from_one_region_into_the_next()
    {
        Assert.True(_memory.TryMap(_rom, new(4 << 20)));
        byte[] bytes = [.. Enumerable.Range(1, 64).Select(i => (byte)i)];
        Assert.True(_memory.TryWrite(new((4 << 20) - 32), bytes));
        var back = new byte[64];
        Assert.True(_memory.TryRead(new((4 << 20) - 32), back));
        Assert.Equal(bytes, back);
        Assert.True(_memory.TryRead(new((4 << 20) - 4), out ulong value));
        Assert.Equal(BitConverter.ToUInt64(bytes, 28), value);
        Assert.True(_memory.TryFill(new((4 << 20) - 4), 8, 0xee));
        Assert.True(_memory.TryRead(new((4 << 20) - 4), out value));
        Assert.Equal(0xeeee_eeee_eeee_eeee, value);
    }

    [Theory]
    [InlineData(0x1000UL, 0x1001UL, 0UL)]
    [InlineData(0x1800UL, 0x1000UL, 0UL)]
    [InlineData(0x1000UL, 0x1000UL, 0x40_0000UL)]
    [InlineData(GuestMemory.AddressSpaceSize - 0x1000, 0x2000UL, 0UL)]
    [InlineData(0x1000UL, 0x1000UL, 0UL)]
    [InlineData(0x80_0000UL, 0UL, 0UL)]
    public void What_cannot_be_mapped_is_not(ulong at, ulong size, ulong offset)
    {
        Assert.False(_memory.TryMap(new GuestMapping(new(at), _ram, offset, size, BackingKind.Memory)));
        Assert.Equal(new GuestMapping(new(0), _ram), Assert.Single(_memory.Mappings));
    }

    [Fact]
    public void A_device_writes_memory_and_nothing_else()
    {
        var dma = new DmaSpace(_memory);
        Assert.True(_memory.TryMap(_rom, new(4 << 20)));
        var video = _memory.CreateRegion("video", GuestMemoryKind.Device, Page);
        Assert.True(_memory.TryMap(video, new(8 << 20)));
        Assert.True(dma.TryWrite(new(0x1000), 7UL));
        Assert.True(dma.TryRead(new(0x1000), out ulong value));
        Assert.Equal(7UL, value);
        Assert.False(dma.TryWrite(new((4 << 20) - 4), 1UL));
        Assert.False(dma.TryFill(new((4 << 20) - 4), 8, 1));
        Assert.True(dma.TryRead(new((4 << 20) - 4), out value));
        Assert.Equal(0UL, value);
        Assert.True(dma.TryWrite(new(8 << 20), 1));
        Assert.True(dma.IsRam(new(0), 4 << 20));
        Assert.False(dma.IsRam(new(0), (4 << 20) + 1));
        Assert.False(dma.IsRam(new(8 << 20), 1));
        Assert.False(dma.TryRead(new(ulong.MaxValue - 3), out value));
        Assert.False(dma.TryWrite(new(ulong.MaxValue - 3), new byte[8]));
        Assert.False(dma.IsWritable(new(0x1000), ulong.MaxValue));
    }
}
