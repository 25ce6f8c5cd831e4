using System.Numerics;

namespace WebVm.Vmm.Cpu;

/// <summary>Where a vCPU is: its APIC id, and what CPUID tells of the package that it belongs to.</summary>
/// <param name="ApicId">Number of the package, then of the core within it.</param>
/// <param name="CoreBits">Bits of the APIC id that number the cores of a package; a core has one thread.</param>
/// <param name="Cores">vCPUs that the package has places for.</param>
public readonly record struct CpuPlace(uint ApicId, int CoreBits, int Cores)
{
    /// <summary>The only vCPU of a machine.</summary>
    public static CpuPlace Alone => new(0, 0, 1);

    public uint Package => ApicId >> CoreBits;

    public uint Core => ApicId & (CoresPerPackage - 1);

    /// <summary>APIC ids that each package has, whether there is a core for each or not.</summary>
    public uint CoresPerPackage => 1u << CoreBits;
}

/// <summary>
/// The packages and cores of a machine, from which APIC ids follow (SDM Vol. 3A §9.9). vCPUs that belong together (a NUMA node's) share a
/// package, with its last level cache; Linux complains of a package that spans nodes. vCPU 0 has APIC id 0.
/// </summary>
public sealed class CpuTopology
{
    /// <summary>APIC ids that every guest can address without x2APIC; the 256th means all processors.</summary>
    private const int Ids = 255;

    private readonly CpuPlace[] _places;

    private CpuTopology(CpuPlace[] places) => _places = places;

    public int Count => _places.Length;

    public CpuPlace this[int cpu] => _places[cpu];

    /// <summary>All vCPUs in one package.</summary>
    public static CpuTopology Single(int count) => Of([[.. Enumerable.Range(0, count)]]);

    /// <param name="groups">vCPU indexes, each in one group. A group is a package; where APIC ids would run out, large ones are
    /// several.</param>
    public static CpuTopology Of(IEnumerable<IReadOnlyList<int>> groups)
    {
        int[][] sorted = [.. groups.Where(group => group.Count > 0).Select(group => group.Order().ToArray()).OrderBy(group => group[0])];
        int bits = sorted.Max(group => BitsFor(group.Length));
        while (bits > 0 && sorted.Sum(group => PackagesOf(group.Length, bits)) << bits > Ids)
        {
            bits--;
        }

        var places = new CpuPlace[sorted.Sum(group => group.Length)];
        uint package = 0;
        foreach (int[] cores in sorted.SelectMany(group => group.Chunk(1 << bits)))
        {
            for (int core = 0; core < cores.Length; core++)
            {
                places[cores[core]] = new CpuPlace((package << bits) | (uint)core, bits, cores.Length);
            }

            package++;
        }

        return new CpuTopology(places);
    }

    private static int PackagesOf(int cores, int bits) => (cores + (1 << bits) - 1) >> bits;

    private static int BitsFor(int cores) => BitOperations.Log2((uint)cores * 2 - 1);
}
