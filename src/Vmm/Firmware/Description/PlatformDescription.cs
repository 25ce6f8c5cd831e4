using WebVm.Vmm.Devices;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Firmware.Description;

/// <summary>A processor as firmware tables name it.</summary>
/// <param name="Uid">Processor UID, unique in the machine: what links a table's entry to the namespace's device.</param>
/// <param name="Node">Virtual NUMA node.</param>
/// <param name="Enabled">Present at power-on; otherwise it may be plugged in later.</param>
public sealed record PlatformCpu(uint Uid, uint ApicId, int Node = 0, bool Enabled = true);

/// <summary>A range of memory in one virtual NUMA node.</summary>
/// <param name="HotPluggable">Reserved for memory that may come and go; what is there at power-on says the memory map.</param>
public sealed record PlatformMemory(GuestPhysicalAddress Base, ulong Length, int Node = 0, bool HotPluggable = false);

/// <summary>What a guest's inventory shows of the machine: strings of printable ASCII, up to 64 characters.</summary>
public sealed record PlatformIdentity
{
    public const int MaximumLength = 64;

    public string Manufacturer { get; init; } = "WebVm";

    public string Product { get; init; } = "WebVm PC";

    public string Version { get; init; } = "1.0";

    public string SerialNumber { get; init; } = "";

    /// <summary>Zero for a machine without one.</summary>
    public Guid Uuid { get; init; }

    internal bool IsValid => new[] { Manufacturer, Product, Version, SerialNumber }.All(
        text => text.Length <= MaximumLength && text.All(c => c is >= ' ' and <= '~'));
}

/// <summary>Everything that firmware tables say about a machine.</summary>
public sealed record PlatformDescription
{
    public const int MaximumCpus = 4096;
    public const int MaximumNodes = 256;

    /// <summary>Distance of a node from itself (ACPI 6.5 §5.2.17).</summary>
    public const byte LocalDistance = 10;

    public const byte RemoteDistance = 20;

    /// <summary>How addresses are shared out between RAM and PCI.</summary>
    public PlatformMap Map { get; init; } = PlatformMap.Direct;

    /// <summary>In order of their vCPU index; the first is the boot processor.</summary>
    public required IReadOnlyList<PlatformCpu> Cpus { get; init; }

    public required IReadOnlyList<PlatformMemory> Memory { get; init; }

    /// <summary>Virtual NUMA nodes; 0 for a machine that does not speak of NUMA at all.</summary>
    public int NodeCount { get; init; }

    /// <summary>Row by row, <see cref="NodeCount"/> squared values of 10 or more; null for 10 and 20.</summary>
    public IReadOnlyList<IReadOnlyList<byte>>? Distances { get; init; }

    public PlatformIdentity Identity { get; init; } = new();

    /// <summary>The devices that tables tell of.</summary>
    public IReadOnlyList<IFirmwareVisible> Devices { get; init; } = [];

    public FirmwareDescription DescribeDevices() => FirmwareDescription.Of(Devices, NodeCount);

    public byte Distance(int from, int to) => Distances is { } rows ? rows[from][to] : from == to ? LocalDistance : RemoteDistance;

    /// <exception cref="ArgumentException">The description contradicts itself; the message says where.</exception>
    public void Validate()
    {
        Require(Cpus.Count is > 0 and <= MaximumCpus, $"{Cpus.Count} CPUs; a machine has 1 to {MaximumCpus}");
        Require(Cpus[0].Enabled, "the boot CPU is not enabled");
        Require(Cpus.Select(cpu => cpu.ApicId).Distinct().Count() == Cpus.Count, "two CPUs have the same APIC id");
        Require(Cpus.Select(cpu => cpu.Uid).Distinct().Count() == Cpus.Count, "two CPUs have the same UID");
        Require(NodeCount is >= 0 and <= MaximumNodes, $"{NodeCount} nodes; a machine has up to {MaximumNodes}");
        int nodes = Math.Max(NodeCount, 1);
        Require(Cpus.All(cpu => cpu.Node >= 0 && cpu.Node < nodes), "a CPU belongs to a node that does not exist");
        Require(Memory.All(range => range.Node >= 0 && range.Node < nodes), "memory belongs to a node that does not exist");
        Require(Memory.All(range => range.Length > 0 && range.Base.Value < GuestMemory.AddressSpaceSize
            && range.Length <= GuestMemory.AddressSpaceSize - range.Base.Value), "a memory range is empty or leaves the address space");
        Require(Identity.IsValid, $"the identity has a string that is not printable ASCII of at most {PlatformIdentity.MaximumLength} characters");
        if (Distances is { } rows)
        {
            Require(rows.Count == NodeCount
                && rows.All(row => row.Count == NodeCount), "the distances are not one row per node with one value per node");
            for (int node = 0; node < NodeCount; node++)
            {
                Require(rows[node][node] == LocalDistance, $"the distance of node {node} from itself is not {LocalDistance}");
                Require(rows[node].All(distance => distance >= LocalDistance), $"node {node} has a distance below {LocalDistance}");
            }
        }

        static void Require(bool holds, string fault)
        {
            if (!holds)
            {
                throw new ArgumentException($"The platform description is wrong: {fault}.");
            }
        }
    }
}
