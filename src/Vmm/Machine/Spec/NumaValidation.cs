using WebVm.Vmm.Settings;

namespace WebVm.Vmm.Machine.Spec;

/// <summary>Whether the NUMA nodes of a spec share out its vCPUs and memory exactly. A vCPU that may be added has its node too.</summary>
internal static class NumaValidation
{
    public static void Check(MachineSpec spec, List<SpecFault> faults)
    {
        if (spec.Numa.Count == 0)
        {
            return;
        }

        if (spec.Numa.Count > MachineSpec.MaximumNumaNodes)
        {
            faults.Add(new("/numa", $"{spec.Numa.Count} nodes; there may be up to {MachineSpec.MaximumNumaNodes}"));
            return;
        }

        ulong seen = 0;
        UInt128 memory = 0;
        for (int index = 0; index < spec.Numa.Count; index++)
        {
            var node = spec.Numa[index];
            memory += node.Memory;
            if (node.Memory < MachineSpec.MinimumNodeMemory || node.Memory % 4096 != 0)
            {
                faults.Add(
                    new($"/numa/{index}/memory", $"{node.Memory} bytes; a node has at least {ByteSize.Format(MachineSpec.MinimumNodeMemory)}, in whole pages of 4096"));
            }

            if ((seen & node.Cpus.Mask) is not 0 and var twice)
            {
                faults.Add(new($"/numa/{index}/cpus", $"vCPUs {new CpuSet(twice)} are in an earlier node already"));
            }

            if (node.Cpus.Highest >= spec.CpuPlaces)
            {
                faults.Add(new($"/numa/{index}/cpus", $"vCPU {node.Cpus.Highest} does not exist; the machine has {spec.CpuPlaces}"));
            }

            seen |= node.Cpus.Mask;
            CheckDistances(spec, index, faults);
        }

        if ((CpuSet.FirstOf(Math.Clamp(spec.CpuPlaces, 0, CpuSet.Limit)).Mask & ~seen) is not 0 and var homeless)
        {
            faults.Add(new("/numa", $"vCPUs {new CpuSet(homeless)} are in no node"));
        }

        if (memory != spec.Memory)
        {
            faults.Add(new("/numa", $"the nodes have {memory} bytes together, the machine has {spec.Memory}"));
        }
    }

    private static void CheckDistances(MachineSpec spec, int index, List<SpecFault> faults)
    {
        if (spec.Numa[index].Distances is not { } distances)
        {
            return;
        }

        if (distances.Count != spec.Numa.Count)
        {
            faults.Add(new($"/numa/{index}/distances", $"{distances.Count} distances for {spec.Numa.Count} nodes"));
            return;
        }

        for (int other = 0; other < distances.Count; other++)
        {
            // 0 to 9 are reserved.
            if (other == index ? distances[other] != NumaNodeSpec.LocalDistance : distances[other] <= NumaNodeSpec.LocalDistance)
            {
                faults.Add(
                    new($"/numa/{index}/distances/{other}", other == index
                        ? "the distance of a node to itself is 10"
                        : "the distance to another node is 11 to 255"));
            }
        }
    }
}
