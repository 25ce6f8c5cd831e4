using WebVm.Vmm.Cpu;

namespace WebVm.Vmm.Machine.Spec;

/// <summary>Where a machine's vCPUs are: the vCPUs of a NUMA node share a package; a machine without nodes has one package.</summary>
internal static class CpuLayout
{
    public static CpuTopology Of(MachineSpec spec) => spec.Numa.Count == 0
        ? CpuTopology.Single(spec.Cpus)
        : CpuTopology.Of(spec.Numa.Select(node => Enumerable.Range(0, spec.Cpus).Where(node.Cpus.Contains).ToArray()));
}
