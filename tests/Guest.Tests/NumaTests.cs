using WebVm.Vmm.Cpu.Features;
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

    [Fact]
    public async Task Each_node_with_vcpus_is_a_package_with_caches_of_its_own()
    {
        await using var guest = await GuestSession.Start(Machine(5,
        [
            new() { Cpus = new(0b10010), Memory = 128UL << 20 },
            new() { Cpus = default, Memory = 64UL << 20 },
            new() { Cpus = new(0b01101), Memory = 128UL << 20 },
        ]));
        guest.WaitForShell();
        const string cpus = "/sys/devices/system/cpu/cpu[0-4]";
        Assert.Equal("0", guest.Run("dmesg | grep -ciE 'topology_sane|not on the same|Incorrect FW|APIC id mismatch|BUG:|WARNING:'"));
        Assert.Equal(["0", "1", "0", "0", "1"], guest.Run($"cat {cpus}/topology/physical_package_id").Split('\n'));
        Assert.Equal(["0", "0", "1", "2", "1"], guest.Run($"cat {cpus}/topology/core_id").Split('\n'));
        Assert.Equal(["0,2-3", "1,4", "0,2-3", "0,2-3", "1,4"], guest.Run($"cat {cpus}/cache/index3/shared_cpu_list").Split('\n'));
        Assert.Equal(["0", "1", "2", "3", "4"], guest.Run($"cat {cpus}/cache/index2/shared_cpu_list").Split('\n'));
        // Linux numbers nodes without processors last.
        Assert.Equal(["1,4", "0,2-3"], guest.Run("cat /sys/devices/system/node/node[0-1]/cpulist").Split('\n'));
        Assert.Equal(["0-2", "0-1"], guest.Run("cd /sys/devices/system/node; cat has_memory has_cpu; cd").Split('\n'));
        Assert.Equal(["0", "4", "1", "2", "5"], guest.Run("awk '/^apicid/{print $3}' /proc/cpuinfo").Split('\n'));
    }

    [Fact]
    public async Task Places_for_more_vcpus_are_possible_and_not_present_and_leave_ids_as_they_will_be()
    {
        await using var guest = await GuestSession.Start(Machine(2,
        [
            new() { Cpus = new(0b001101), Memory = 128UL << 20 },
            new() { Cpus = new(0b110010), Memory = 128UL << 20 },
        ]) with { Cpu = new CpuSpec { Maximum = 6 } });
        guest.WaitForShell();
        Assert.Equal("0", guest.Run("dmesg | grep -ciE 'topology_sane|not on the same|Incorrect FW|APIC id mismatch|BUG:|WARNING:'"));
        Assert.Equal("0-1 0-5", guest.Run("cd /sys/devices/system/cpu; echo $(cat present possible); cd"));
        Assert.Equal(["0", "4"], guest.Run("awk '/^apicid/{print $3}' /proc/cpuinfo").Split('\n'));
        Assert.Equal(["0", "1"], guest.Run("cat /sys/devices/system/cpu/cpu[0-1]/topology/physical_package_id").Split('\n'));
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
        Task.FromResult(
            int.Parse(
                guest.Run($"awk '/MemTotal/{{print int($4/1024)}}' /sys/devices/system/node/node{node}/meminfo"),
                System.Globalization.CultureInfo.InvariantCulture));
}
