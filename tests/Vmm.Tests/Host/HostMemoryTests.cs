using WebVm.Vmm.Host;
using Xunit;

namespace WebVm.Vmm.Tests.Host;

public sealed class HostMemoryTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("webvm-memory-").FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public void Without_limits_it_is_the_hosts()
    {
        Make("0::/user.slice/session\n", ("user.slice/memory.max", "max"), ("user.slice/memory.current", "1000"));
        Assert.Equal(new HostMemory(16L << 30, 10L << 30), Read());
    }

    [Fact]
    public void The_tightest_group_on_the_way_up_counts_and_files_it_can_drop_do_not()
    {
        Make("0::/a/b\n", ("a/memory.max", $"{4L << 30}"), ("a/memory.current", $"{3L << 30}"),
            ("a/memory.stat", $"anon 1\ninactive_file {1L << 30}\n"),
            ("a/b/memory.max", $"{8L << 30}"), ("a/b/memory.current", "0"));
        Assert.Equal(new HostMemory(4L << 30, 2L << 30), Read());
    }

    [Fact]
    public void Groups_of_version_1_and_of_containers_that_see_only_their_own_count_too()
    {
        Make("9:memory:/docker/0123\n3:cpu,cpuacct:/\n", ("memory/memory.limit_in_bytes", $"{1L << 30}"),
            ("memory/memory.usage_in_bytes", $"{1L << 29}"));
        Assert.Equal(new HostMemory(1L << 30, 1L << 29), Read());
    }

    [Fact]
    public void This_host_has_some()
    {
        var memory = HostMemory.Read();
        Assert.InRange(memory.Available, 1L << 20, memory.Total);
        Assert.InRange(HostMemory.ResidentOf(Environment.ProcessId), 1L << 20, memory.Total);
        Assert.Equal(0, HostMemory.ResidentOf(int.MaxValue));
    }

    private HostMemory Read() => HostMemory.Read(Path.Combine(_root, "proc"), Path.Combine(_root, "cgroup"));

    private void Make(string groups, params (string File, string Text)[] files)
    {
        foreach (var (file, text) in files.Select(entry => ("cgroup/" + entry.File, entry.Text)).Append(("proc/self/cgroup", groups))
            .Append(("proc/meminfo", $"MemTotal:       {16L << 20} kB\nMemFree:  1 kB\nMemAvailable:   {10L << 20} kB\n")))
        {
            string path = Path.Combine(_root, file);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllText(path, text);
        }
    }
}
