using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Probing;
using WebVm.Vmm.Cpu.Soft;
using WebVm.Vmm.Cpu.Soft.Semantics.SystemInstructions;
using WebVm.Vmm.Cpu.Soft.Vcpu;
using WebVm.Vmm.Host.Native;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Time;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu;

/// <summary>Packages, cores and APIC ids, and that CPUID of both engines tells of them alike.</summary>
public sealed unsafe class CpuTopologyTests
{
    [Fact]
    public void One_package_numbers_its_cores()
    {
        var topology = CpuTopology.Single(5);
        Assert.Equal([0u, 1u, 2u, 3u, 4u], Ids(topology));
        Assert.Equal(new CpuPlace(4, 3, 5), topology[4]);
        Assert.Equal(CpuPlace.Alone, CpuTopology.Single(1)[0]);
    }

    [Fact]
    public void Each_group_is_a_package_and_the_first_vCPU_has_id_zero()
    {
        var topology = CpuTopology.Of([[1, 4], [], [0, 2, 3]]);
        Assert.Equal([0u, 4u, 1u, 2u, 5u], Ids(topology));
        Assert.Equal((1u, 1u, 2), (topology[4].Package, topology[4].Core, topology[4].Cores));
        Assert.Equal((0u, 2u, 3), (topology[3].Package, topology[3].Core, topology[3].Cores));
    }

    [Fact]
    public void Where_ids_would_run_out_a_large_group_is_several_packages()
    {
        // 33 cores need 6 bits, 32 packages of which would be 2048 ids.
        var topology = CpuTopology.Of([Enumerable.Range(0, 33).ToArray(), .. Enumerable.Range(33, 31).Select(cpu => (int[])[cpu])]);
        Assert.All(Ids(topology), id => Assert.InRange(id, 0u, 254u));
        var packages = Enumerable.Range(0, 64).GroupBy(cpu => topology[cpu].Package);
        Assert.All(packages, package => Assert.True(package.All(cpu => cpu < 33) || package.Count() == 1));
    }

    [Fact]
    public void Ids_are_unique_and_fit_whatever_the_groups()
    {
        var random = new Random(11);
        for (int round = 0; round < 2000; round++)
        {
            int count = random.Next(1, 65);
            int nodes = random.Next(1, 65);
            int[] home = [.. Enumerable.Range(0, count).Select(_ => random.Next(nodes) * random.Next(2))];
            var topology = CpuTopology.Of(
                Enumerable.Range(0, nodes).Select(node => Enumerable.Range(0, count).Where(cpu => home[cpu] == node).ToArray()));
            uint[] ids = Ids(topology);
            Assert.Equal(count, ids.Distinct().Count());
            Assert.Equal(0u, ids[0]);
            Assert.All(ids, id => Assert.InRange(id, 0u, 254u));
            for (int cpu = 0; cpu < count; cpu++)
            {
                int[] package = [.. Enumerable.Range(0, count).Where(other => topology[other].Package == topology[cpu].Package)];
                Assert.Equal(topology[cpu].Cores, package.Length);
                Assert.All(package, other => Assert.Equal(home[cpu], home[other]));
            }
        }
    }

    [Fact]
    public void Soft_tells_of_each_place()
    {
        using var memory = new GuestMemory();
        using var timers = new TimerService(new VirtualClock());
        using var engine = new SoftEngine(memory, new NoBus(), timers);
        var topology = CpuTopology.Of([[1, 4], [0, 2, 3]]);
        for (int index = 0; index < topology.Count; index++)
        {
            var cpu = ((SoftVcpu)engine.CreateVcpu(index, topology[index])).Context;
            Expect(topology[index], leaf => CpuidPolicy.Read(cpu, leaf.Function, leaf.Index), extendedV2: false);
        }
    }

    [Fact]
    public void KVM_tells_of_each_place()
    {
        using var device = KvmDevice.TryOpen(out _);
        if (device is null)
        {
            Assert.Skip("This host has no usable KVM.");
        }

        var topology = CpuTopology.Of([[1, 4], [0, 2, 3]]);
        var policy = KvmCpuid.ForHost(device);
        for (int index = 0; index < topology.Count; index++)
        {
            var leaves = policy.For(topology[index]);
            var place = topology[index];
            Expect(place, leaf => Find(leaves, leaf.Function, leaf.Index), Find(leaves, 0, 0).Eax >= 0x1f);
            if (leaves.Any(leaf => leaf.function == 0x8000_001e))
            {
                Assert.Equal((place.ApicId, place.Core, place.Package), First3(Find(leaves, 0x8000_001e, 0)));
                uint sizes = Find(leaves, 0x8000_0008, 0).Ecx;
                Assert.Equal(((uint)place.CoreBits, (uint)place.Cores - 1), (sizes >> 12 & 0xf, sizes & 0xff));
            }

            Assert.DoesNotContain(leaves, leaf => leaf.function == 0x8000_0026);
        }
    }

    private static void Expect(
        CpuPlace place, Func<(uint Function, uint Index), (uint Eax, uint Ebx, uint Ecx, uint Edx)> read, bool extendedV2)
    {
        var basic = read((1, 0));
        Assert.Equal((place.ApicId, 1u << place.CoreBits), (basic.Ebx >> 24, basic.Ebx >> 16 & 0xff));
        Assert.Equal(place.CoreBits > 0, (basic.Edx & (1 << 28)) != 0);
        foreach (uint function in (uint[])[0xb, .. extendedV2 ? (uint[])[0x1f] : []])
        {
            Assert.Equal((0u, 1u, 0x100u, place.ApicId), read((function, 0)));
            Assert.Equal(((uint)place.CoreBits, (uint)place.Cores, 0x201u, place.ApicId), read((function, 1)));
            Assert.Equal((0u, 0u), (read((function, 2)).Ebx, read((function, 2)).Ecx >> 8));
        }

        for (uint index = 0; index < 8 && read((4, index)) is var cache && (cache.Eax & 0x1f) != 0; index++)
        {
            bool last = (cache.Eax >> 5 & 7) == 3;
            Assert.Equal(last ? (1u << place.CoreBits) - 1 : 0, cache.Eax >> 14 & 0xfff);
            Assert.Equal((1u << place.CoreBits) - 1, cache.Eax >> 26);
        }
    }

    private static (uint Eax, uint Ebx, uint Ecx, uint Edx) Find(kvm_cpuid_entry2[] leaves, uint function, uint index)
    {
        var leaf = leaves.FirstOrDefault(leaf => leaf.function == function && leaf.index == index);
        return (leaf.eax, leaf.ebx, leaf.ecx, leaf.edx);
    }

    private static (uint Eax, uint Ebx, uint Ecx) First3((uint Eax, uint Ebx, uint Ecx, uint Edx) leaf) => (leaf.Eax, leaf.Ebx, leaf.Ecx);

    private static uint[] Ids(CpuTopology topology) => [.. Enumerable.Range(0, topology.Count).Select(cpu => topology[cpu].ApicId)];

    private sealed class NoBus : IGuestBus
    {
        public uint ReadPort(ushort port, int size) => 0;

        public void WritePort(ushort port, int size, uint value)
        {
        }

        public ulong ReadMmio(GuestPhysicalAddress address, int size) => 0;

        public void WriteMmio(GuestPhysicalAddress address, int size, ulong value)
        {
        }
    }
}
