using System.Globalization;

namespace WebVm.Vmm.Host;

/// <summary>Processors and memory of the host, as /proc and /sys tell them.</summary>
public sealed record HostResources
{
    /// <summary>Processors that this process may use.</summary>
    public required int Processors { get; init; }

    public required string ProcessorModel { get; init; }

    /// <summary>Bytes.</summary>
    public required ulong MemoryTotal { get; init; }

    /// <summary>Bytes that new work can have without swapping.</summary>
    public required ulong MemoryAvailable { get; init; }

    /// <summary>Reserved 2 MiB pages that are free.</summary>
    public required ulong HugePagesFree { get; init; }

    public required string Kernel { get; init; }

    public required IReadOnlyList<HostNumaNode> NumaNodes { get; init; }

    public static HostResources Read()
    {
        var memory = ReadPairs("/proc/meminfo");
        return new HostResources
        {
            Processors = Environment.ProcessorCount,
            ProcessorModel = ReadPairs("/proc/cpuinfo").GetValueOrDefault("model name", "unknown"),
            MemoryTotal = Kibibytes(memory, "MemTotal"),
            MemoryAvailable = Kibibytes(memory, "MemAvailable"),
            HugePagesFree = Number(memory.GetValueOrDefault("HugePages_Free", "0")),
            Kernel = ReadOr("/proc/sys/kernel/osrelease", "unknown"),
            NumaNodes = ReadNodes(),
        };
    }

    private static List<HostNumaNode> ReadNodes()
    {
        const string root = "/sys/devices/system/node";
        List<HostNumaNode> nodes = [];
        if (!Directory.Exists(root))
        {
            return nodes;
        }

        foreach (string directory in Directory.EnumerateDirectories(root, "node*"))
        {
            if (!int.TryParse(Path.GetFileName(directory).AsSpan(4), CultureInfo.InvariantCulture, out int number))
            {
                continue;
            }

            // "Node 0 MemTotal:       24650000 kB"
            string prefix = $"Node {number.ToString(CultureInfo.InvariantCulture)} ";
            var memory = ReadPairs(Path.Combine(directory, "meminfo")).ToDictionary(
                pair => pair.Key.StartsWith(prefix, StringComparison.Ordinal) ? pair.Key[prefix.Length..] : pair.Key, pair => pair.Value);
            nodes.Add(new HostNumaNode(
                number,
                ReadOr(Path.Combine(directory, "cpulist"), ""),
                Kibibytes(memory, "MemTotal"),
                Kibibytes(memory, "MemFree"),
                [.. ReadOr(Path.Combine(directory, "distance"), "").Split(' ', StringSplitOptions.RemoveEmptyEntries)
                    .Select(text => (int)Number(text))]));
        }

        return [.. nodes.OrderBy(node => node.Number)];
    }

    private static Dictionary<string, string> ReadPairs(string path)
    {
        Dictionary<string, string> pairs = new(StringComparer.Ordinal);
        foreach (string line in ReadOr(path, "").Split('\n'))
        {
            int colon = line.IndexOf(':', StringComparison.Ordinal);
            if (colon > 0)
            {
                pairs.TryAdd(line[..colon].Trim(), line[(colon + 1)..].Trim());
            }
        }

        return pairs;
    }

    private static ulong Kibibytes(Dictionary<string, string> pairs, string name) =>
        Number(pairs.GetValueOrDefault(name, "0").Split(' ')[0]) * 1024;

    private static ulong Number(string text) => ulong.TryParse(text, CultureInfo.InvariantCulture, out ulong value) ? value : 0;

    private static string ReadOr(string path, string otherwise)
    {
        try
        {
            return File.ReadAllText(path).Trim();
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return otherwise;
        }
    }
}

/// <param name="Processors">As Linux lists them, such as "0-3,8".</param>
/// <param name="MemoryTotal">Bytes.</param>
/// <param name="MemoryFree">Bytes.</param>
/// <param name="Distances">To each node, 10 to itself (ACPI 6.5 §5.2.17).</param>
public sealed record HostNumaNode(int Number, string Processors, ulong MemoryTotal, ulong MemoryFree, IReadOnlyList<int> Distances);
