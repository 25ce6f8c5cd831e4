using Xunit;

namespace WebVm.Vmm.Tests.Confinement;

/// <summary>A control group whose threads are counted, of either version, as long as the test runs.</summary>
internal sealed class ThreadGroup : IDisposable
{
    public ThreadGroup()
    {
        string? hierarchy =
            File.ReadAllLines("/proc/self/mounts").Select(line => line.Split(' ')).Where(mount => Counts(mount[1], mount[2], mount[3]))
                .Select(mount => mount[1]).FirstOrDefault();
        Assert.SkipWhen(hierarchy is null, "This host has no controller of the number of threads.");
        Path = Directory.CreateDirectory(System.IO.Path.Combine(hierarchy, $"webvm-test-{Guid.NewGuid():n}")).FullName;
    }

    public string Path { get; }

    // Empty: whoever was in it has been waited for.
    public void Dispose() => Directory.Delete(Path);

    private static bool Counts(string folder, string type, string options) => type switch
    {
        "cgroup" => options.Split(',').Contains("pids"),
        "cgroup2" => File.ReadAllText(System.IO.Path.Combine(folder, "cgroup.subtree_control")).Split().Contains("pids"),
        _ => false,
    };
}
