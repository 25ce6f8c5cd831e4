using WebVm.Vmm.Machine.Spec;
using Xunit;

namespace WebVm.Guest.Tests;

public sealed class NumaTests
{
    [Fact]
    public async Task Two_nodes_show_their_vcpus_memory_and_distances()
    {
        await using var guest = await GuestSession.Start(Machine(4,
        [
            new() { Cpus = new(0b0011), Memory = 192UL << 20, Distances = [10, 25] },
            new() { Cpus = new(0b1100), Memory = 128UL << 20, Distances = [31, 10] },
        ]));
        guest.WaitForShell();
        const string nodes = "/sys/devices/system/node";
        Assert.Equal("0-1", guest.Run($"cat {nodes}/online"));
        Assert.Equal(["0-1", "2-3"], guest.Run($"cat {nodes}/node0/cpulist {nodes}/node1/cpulist").Split('\n'));
        Assert.Equal(["10 25", "31 10"], guest.Run($"cat {nodes}/node0/distance {nodes}/node1/distance").Split('\n'));
        Assert.InRange(await Megabytes(guest, 0), 100, 192);
        Assert.InRange(await Megabytes(guest, 1), 90, 128);
    }

    [Fact]
    public async Task Four_nodes_with_vcpus_dealt_out_across_them()
    {
        await using var guest = await GuestSession.Start(Machine(4,
        [
            new() { Cpus = new(0b1000), Memory = 128UL << 20 },
            new() { Cpus = new(0b0100), Memory = 64UL << 20 },
            new() { Cpus = new(0b0010), Memory = 64UL << 20 },
            new() { Cpus = new(0b0001), Memory = 64UL << 20 },
        ]));
        guest.WaitForShell();
        Assert.Equal("0-3", guest.Run("cat /sys/devices/system/node/online"));
        Assert.Equal(["3", "2", "1", "0"], guest.Run("cat /sys/devices/system/node/node[0-3]/cpulist").Split('\n'));
        Assert.Equal("10 20 20 20", guest.Run("cat /sys/devices/system/node/node0/distance"));
    }

    private static MachineSpec Machine(int cpus, IReadOnlyList<NumaNodeSpec> nodes) => new()
    {
        Engine = EngineChoice.Soft,
        Cpus = cpus,
        Memory = nodes.Aggregate(0UL, (sum, node) => sum + node.Memory),
        Numa = nodes,
        Boot = Images.Linux("tiny", "console=ttyS0 quiet"),
    };

    private static Task<int> Megabytes(GuestSession guest, int node) =>
        Task.FromResult(int.Parse(guest.Run($"awk '/MemTotal/{{print int($4/1024)}}' /sys/devices/system/node/node{node}/meminfo"), System.Globalization.CultureInfo.InvariantCulture));
}
