using WebVm.Vmm.Devices;
using WebVm.Vmm.Firmware.Boot;
using WebVm.Vmm.Memory;
using Xunit;

namespace WebVm.Vmm.Tests.Firmware.Boot;

public sealed class MemoryMapTests
{
    [Fact]
    public void The_map_of_a_machine_with_memory_on_both_sides_of_the_hole()
    {
        var map = MemoryMap.Create(
            [(new(0), 0x4000_0000), (new(0x4000_0000), 0x8000_0000), (new(0x1_0000_0000), 0x4000_0000)],
            [.. MemoryMap.ReservationsOf(PlatformMap.Direct), new(new(0xbfff_0000), 0x1_0000, MemoryMapType.AcpiReclaimable)]);

        Assert.Equal(
            [
                new(new(0), 0x9_fc00, MemoryMapType.Ram),
                new(new(0x9_fc00), 0x400, MemoryMapType.Reserved),
                new(new(0xf_0000), 0x1_0000, MemoryMapType.Reserved),
                new(new(0x10_0000), 0xbfff_0000 - 0x10_0000, MemoryMapType.Ram),
                new(new(0xbfff_0000), 0x1_0000, MemoryMapType.AcpiReclaimable),
                new(new(0xe000_0000), 0x1000_0000, MemoryMapType.Reserved),
                new(new(0x1_0000_0000), 0x4000_0000, MemoryMapType.Ram),
            ],
            map.Entries);
        Assert.Equal(0xbfff_0000UL, map.LowRamEnd.Value);
    }

    [Fact]
    public void Reserved_ranges_that_overlap_are_refused() => Assert.Throws<ArgumentException>(() => MemoryMap.Create(
        [(new(0), 0x4000_0000)],
        [new(new(0x1000), 0x2000, MemoryMapType.Reserved), new(new(0x2000), 0x2000, MemoryMapType.AcpiNvs)]));

    [Fact]
    public void Random_maps_are_sorted_disjoint_and_cover_exactly_the_RAM_that_is_not_reserved()
    {
        int seed = Environment.TickCount;
        var random = new Random(seed);
        for (int round = 0; round < 500; round++)
        {
            // Page-sized cells of a small address space; one cell is one unit of the reference.
            bool[] isRam = new bool[512];
            List<(GuestPhysicalAddress, ulong)> ram = [];
            for (int at = 0; at < isRam.Length;)
            {
                int length = random.Next(1, 40);
                length = Math.Min(length, isRam.Length - at);
                if (random.Next(2) == 0)
                {
                    ram.Add((new((ulong)at << 12), (ulong)length << 12));
                    Array.Fill(isRam, true, at, length);
                }

                at += length;
            }

            List<MemoryMapEntry> reserved = [];
            bool[] isReserved = new bool[512];
            for (int at = 0; at < isRam.Length;)
            {
                int length = Math.Min(random.Next(1, 30), isRam.Length - at);
                if (random.Next(4) == 0)
                {
                    reserved.Add(new(new((ulong)at << 12), (ulong)length << 12, (MemoryMapType)random.Next(2, 5)));
                    Array.Fill(isReserved, true, at, length);
                }

                at += length;
            }

            var map = MemoryMap.Create(ram, reserved);
            string what = $"seed {seed}, round {round}";
            for (int i = 1; i < map.Entries.Count; i++)
            {
                Assert.True(map.Entries[i - 1].End <= map.Entries[i].Base, what);
            }

            for (int cell = 0; cell < isRam.Length; cell++)
            {
                var address = new GuestPhysicalAddress((ulong)cell << 12);
                var type = map.Entries.FirstOrDefault(entry => entry.Base <= address && address < entry.End).Type;
                bool adapterHole = address.Value is >= 0xa_0000 and < 0xf_0000;
                Assert.True((type == MemoryMapType.Ram) == (isRam[cell] && !isReserved[cell] && !adapterHole), $"{what}, cell {cell}");
            }
        }
    }
}
