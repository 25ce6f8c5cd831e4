using WebVm.Vmm.Devices;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Machine.Assembly;

/// <summary>A piece of RAM: contiguous, in one node, on one side of the PCI hole.</summary>
internal readonly record struct RamRange(string Name, GuestPhysicalAddress Base, ulong Size, int Node);

/// <summary>
/// Where a machine's RAM lies: the nodes one after the other from address 0, with the hole for PCI and the chipset below 4 GiB left out.
/// </summary>
internal static class MemoryLayout
{
    /// <param name="lowEnd">Where RAM below 4 GiB ends.</param>
    public static IReadOnlyList<RamRange> Of(MachineSpec spec, ulong lowEnd)
    {
        var ranges = new List<RamRange>();
        ulong at = 0;
        IReadOnlyList<ulong> sizes = spec.Numa.Count > 0 ? [.. spec.Numa.Select(node => node.Memory)] : [spec.Memory];
        for (int node = 0; node < sizes.Count; node++)
        {
            ulong left = sizes[node];
            while (left > 0)
            {
                if (at == lowEnd)
                {
                    at = PlatformMap.HighMemory;
                }

                ulong size = at < lowEnd ? Math.Min(left, lowEnd - at) : left;
                ranges.Add(new RamRange($"ram{ranges.Count}", new GuestPhysicalAddress(at), size, node));
                at += size;
                left -= size;
            }
        }

        return ranges;
    }

    public static void Populate(GuestMemory memory, IReadOnlyList<RamRange> ranges)
    {
        foreach (var range in ranges)
        {
            var region = memory.CreateRegion(range.Name, GuestMemoryKind.Ram, range.Size, range.Node);
            if (!memory.TryMap(region, range.Base))
            {
                throw new InvalidOperationException($"{region.Name} does not fit at {range.Base}.");
            }
        }
    }
}
