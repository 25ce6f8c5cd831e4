using WebVm.Vmm.Cpu;

namespace WebVm.Vmm.Machine.Spec;

/// <summary>
/// Where a machine's vCPUs are: the vCPUs of a NUMA node share a package; a machine without nodes has one package. Those that may be added
/// have their places from the start, so that adding them changes no APIC id.
/// </summary>
internal static class CpuLayout
{
    public static CpuTopology Of(MachineSpec spec) => spec.Numa.Count == 0
        ? CpuTopology.Single(spec.CpuPlaces)
        : CpuTopology.Of(spec.Numa.Select(node => Enumerable.Range(0, spec.CpuPlaces).Where(node.Cpus.Contains).ToArray()));
}
