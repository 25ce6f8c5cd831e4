using WebVm.Vmm.Devices;
using WebVm.Vmm.Machine.Assembly;
using WebVm.Vmm.Machine.Spec;
using Xunit;

namespace WebVm.Vmm.Tests.Machine;

public sealed class MemoryLayoutTests
{
    private const ulong Gigabyte = 1UL << 30;

    [Fact]
    public void Memory_beyond_3_GiB_continues_above_4_GiB()
    {
        var ranges = MemoryLayout.Of(new MachineSpec { Memory = 5 * Gigabyte }, PlatformMap.DirectLowMemoryEnd);
        Assert.Equal([(0UL, 3 * Gigabyte), (4 * Gigabyte, 2 * Gigabyte)], ranges.Select(range => (range.Base.Value, range.Size)));
    }

    [Fact]
    public void A_node_across_the_hole_lies_on_both_sides_and_the_next_follows_it()
    {
        var spec = new MachineSpec
        {
            Cpus = 2,
            Memory = 6 * Gigabyte,
            Numa = [new() { Cpus = new(1), Memory = 4 * Gigabyte }, new() { Cpus = new(2), Memory = 2 * Gigabyte }],
        };
        Assert.Empty(spec.Validate());
        Assert.Equal(
            [(0UL, 3 * Gigabyte, 0), (4 * Gigabyte, Gigabyte, 0), (5 * Gigabyte, 2 * Gigabyte, 1)],
            MemoryLayout.Of(spec, PlatformMap.DirectLowMemoryEnd).Select(range => (range.Base.Value, range.Size, range.Node)));
    }

    [Fact]
    public void A_node_that_ends_at_the_hole_leaves_no_empty_piece()
    {
        var spec = new MachineSpec
        {
            Memory = 4 * Gigabyte,
            Numa = [new() { Cpus = new(1), Memory = 3 * Gigabyte }, new() { Cpus = new(0), Memory = Gigabyte }],
        };
        Assert.Equal([0, PlatformMap.HighMemory], MemoryLayout.Of(spec, PlatformMap.DirectLowMemoryEnd).Select(range => range.Base.Value));
    }
}
