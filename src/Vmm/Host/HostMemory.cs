using System.Globalization;

namespace WebVm.Vmm.Host;

/// <summary>
/// Memory that this process and its children can have: the host's, or what the control groups around it leave of that (cgroups(7)).
/// </summary>
/// <param name="Total">Bytes.</param>
/// <param name="Available">Bytes that new work can have without swapping (proc_meminfo(5), MemAvailable).</param>
public readonly record struct HostMemory(long Total, long Available)
{
    public static HostMemory Read() => Read("/proc", "/sys/fs/cgroup");

    /// <param name="proc">Where proc(5) is mounted.</param>
    /// <param name="groups">Where the control groups are.</param>
    internal static HostMemory Read(string proc, string groups)
    {
        var memory = new HostMemory(Meminfo(proc, "MemTotal:"), Meminfo(proc, "MemAvailable:"));
        foreach (string line in Lines(Path.Combine(proc, "self/cgroup")))
        {
            // "0::/user.slice/…" of version 2, "9:memory:/docker/…" of version 1. A limit may be any group's on the way up.
            if (line.Split(':', 3) is not [_, var controllers, var path]
                || (controllers.Length > 0 && !controllers.Split(',').Contains("memory")))
            {
                continue;
            }

            var (root, limit, used) = controllers.Length == 0
                ? (groups, "memory.max", "memory.current")
                : (Path.Combine(groups, "memory"), "memory.limit_in_bytes", "memory.usage_in_bytes");
            for (string? group = path; group is not null; group = group.Length > 1 ? Path.GetDirectoryName(group) : null)
            {
                // Inside a container the path may be the host's, and its folder not there; then its root is the container's own.
                string folder = Path.Join(root, group);
                if (Number(Path.Combine(folder, limit)) is { } most && Number(Path.Combine(folder, used)) is { } now)
                {
                    memory = new(Math.Min(memory.Total, most), Math.Min(memory.Available, Math.Max(0, most - now + Reclaimable(folder))));
                }
            }
        }

        return memory;
    }

    /// <summary>Resident bytes of a process (proc_pid_statm(5)); 0 when it is gone.</summary>
    public static long ResidentOf(int process) =>
        Lines($"/proc/{process.ToString(CultureInfo.InvariantCulture)}/statm").FirstOrDefault()?.Split(' ') is [_, var pages, ..]
            && long.TryParse(pages, CultureInfo.InvariantCulture, out long count)
            ? count * Environment.SystemPageSize
            : 0;

    // What a group uses includes the files that it read, which the kernel drops when there is need.
    private static long Reclaimable(string folder) =>
        Lines(Path.Combine(folder, "memory.stat"))
            .Where(line => line.StartsWith("inactive_file ", StringComparison.Ordinal)
                || line.StartsWith("total_inactive_file ", StringComparison.Ordinal))
            .Select(line => long.TryParse(line.AsSpan(line.IndexOf(' ') + 1), CultureInfo.InvariantCulture, out long bytes) ? bytes : 0)
                .DefaultIfEmpty().Max();

    private static long Meminfo(string proc, string name) =>
        Lines(Path.Combine(proc, "meminfo"))
            .FirstOrDefault(
                line => line.StartsWith(name, StringComparison.Ordinal))?.Split(
                    ' ', StringSplitOptions.RemoveEmptyEntries) is [_, var kibibytes, ..]
        && long.TryParse(kibibytes, CultureInfo.InvariantCulture, out long value) ? value << 10 : 0;

    /// <summary>Null where there is no such file, or no limit ("max", or a number that no host has).</summary>
    private static long? Number(string path) =>
        Lines(path).FirstOrDefault() is { } text && long.TryParse(text, CultureInfo.InvariantCulture, out long value)
            && value < long.MaxValue / 2 ? value : null;

    private static string[] Lines(string path)
    {
        try
        {
            return File.ReadAllLines(path);
        }
        catch (Exception absent) when (absent is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
