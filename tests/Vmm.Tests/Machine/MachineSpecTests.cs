using System.Text;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Machine.Assembly;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Settings;
using Xunit;

namespace WebVm.Vmm.Tests.Machine;

public sealed class MachineSpecTests
{
    private const string Complete = """
        {"schema":1,"name":"four","engine":"soft","cpus":4,"cpu":{"model":"x86-64-v2","vendor":"amd","features":{"la57":true,"popcnt":false},"maximum":4},"memory":"1G","hpet":true,
         "numa":[{"cpus":"0-1","memory":"256M","distances":[10,21]},{"cpus":"2,3","memory":"768M","distances":[21,10]}],
         "boot":{"kernel":"/k","initrd":"/i","commandLine":"console=ttyS0"},"display":{"width":800,"height":600}}
        """;

    [Fact]
    public void A_complete_spec_survives_writing_and_reading()
    {
        var first = Read(Complete, out var faults);
        Assert.Empty(faults);
        var second = Read(MachineSpecJson.Write(first!).ToJsonString(), out faults);
        Assert.Empty(faults);
        Assert.Equal(MachineSpecJson.Write(first!).ToJsonString(), MachineSpecJson.Write(second!).ToJsonString());
        Assert.True(second!.Cpu.Features["la57"]);
        Assert.Equal(768UL << 20, second!.Numa[1].Memory);
        Assert.Equal(new CpuSet(0b1100), second.Numa[1].Cpus);
    }

    [Fact]
    public void APIC_ids_and_packages_follow_from_the_most_vcpus_that_there_may_be()
    {
        var spec = Read(
            """{"cpus":2,"memory":"64M","cpu":{"maximum":6},"numa":[{"cpus":"0,2-4","memory":"32M"},{"cpus":"1,5","memory":"32M"}]}""",
            out var faults);
        Assert.Empty(faults);
        var topology = CpuLayout.Of(spec!);
        Assert.Equal([0u, 4u, 1u, 2u, 3u, 5u], Enumerable.Range(0, topology.Count).Select(cpu => topology[cpu].ApicId));
        Assert.Equal(new CpuPlace(4, 2, 2), topology[1]);
        var grown = CpuLayout.Of(spec! with { Cpus = 6 });
        Assert.Equal(Enumerable.Range(0, 6).Select(cpu => topology[cpu]), Enumerable.Range(0, 6).Select(cpu => grown[cpu]));
        Assert.Equal(CpuTopology.Single(5)[4], CpuLayout.Of(new MachineSpec { Cpus = 5 })[4]);
    }

    [Fact]
    public void Nodes_alone_give_the_machine_its_vcpus_and_memory()
    {
        var spec = Read("""{"numa":[{"cpus":"0","memory":"64M"},{"cpus":"1-2","memory":67108864}]}""", out var faults);
        Assert.Empty(faults);
        Assert.Equal(3, spec!.Cpus);
        Assert.Equal(128UL << 20, spec.Memory);
    }

    [Theory]
    [InlineData("""{"cpus":0}""", "/cpus")]
    [InlineData("""{"cpu":{"features":{"la57":1}}}""", "/cpu/features/la57")]
    [InlineData("""{"cpu":{"features":{"la58":true}}}""", "/cpu/features/la58")]
    [InlineData("""{"cpu":{"model":"x"}}""", "/cpu/model")]
    [InlineData("""{"cpu":{"vendor":"via"}}""", "/cpu/vendor")]
    [InlineData("""{"cpu":{"features":{"lm":false}}}""", "/cpu/features/lm")]
    [InlineData("""{"cpu":{"features":{"avx2":true,"avx":false}}}""", "/cpu/features/avx2")]
    [InlineData("""{"cpu":{"vendor":"amd","features":{"spec_ctrl":true}}}""", "/cpu/features/spec_ctrl")]
    [InlineData("""{"cpus":65}""", "/cpus")]
    [InlineData("""{"cpus":"2"}""", "/cpus")]
    [InlineData("""{"cpus":4,"cpu":{"maximum":3}}""", "/cpu/maximum")]
    [InlineData("""{"cpu":{"maximum":65}}""", "/cpu/maximum")]
    [InlineData("""{"cpu":{"maximum":"2"}}""", "/cpu/maximum")]
    [InlineData("""{"cpus":1,"memory":"64M","cpu":{"maximum":2},"numa":[{"cpus":"0","memory":"64M"}]}""", "/numa")]
    [InlineData("""{"cpus":1,"memory":"64M","cpu":{"maximum":2},"numa":[{"cpus":"0-2","memory":"64M"}]}""", "/numa/0/cpus")]
    [InlineData("""{"cpus":1e9}""", "/cpus")]
    [InlineData("""{"memory":"1"}""", "/memory")]
    [InlineData("""{"memory":4194305}""", "/memory")]
    [InlineData("""{"memory":"99999999999999999999G"}""", "/memory")]
    [InlineData("""{"memory":-1}""", "/memory")]
    [InlineData("""{"memroy":"1G"}""", "/memroy")]
    [InlineData("""{"a/b~c":1}""", "/a~1b~0c")]
    [InlineData("""{"schema":2}""", "/schema")]
    [InlineData("""{"engine":"fast"}""", "/engine")]
    [InlineData("""{"name":"../x"}""", "/name")]
    [InlineData("""{"name":"\ud800"}""", "/name")]
    [InlineData("""{"cpus":1,"cpus":2}""", "/cpus")]
    [InlineData("""{"boot":{}}""", "/boot/kernel")]
    [InlineData("""{"boot":{"kernel":7}}""", "/boot/kernel")]
    [InlineData("""{"boot":{"kernel":"k","commandLine":"a\u0000b"}}""", "/boot/commandLine")]
    [InlineData("""{"boot":{"kernel":"k","initdr":"i"}}""", "/boot/initdr")]
    [InlineData("""{"boot":[]}""", "/boot")]
    [InlineData("""{"display":{"width":1023}}""", "/display/width")]
    [InlineData("""{"display":{"height":9999}}""", "/display/height")]
    [InlineData("""{"numa":[{"cpus":"0"}]}""", "/numa/0/memory")]
    [InlineData("""{"numa":[{"cpus":"0","memory":"64M"},{"cpus":"0","memory":"64M"}]}""", "/numa/1/cpus")]
    [InlineData("""{"numa":[{"cpus":"1-0","memory":"64M"}]}""", "/numa/0/cpus")]
    [InlineData("""{"numa":[{"cpus":"64","memory":"64M"}]}""", "/numa/0/cpus")]
    [InlineData("""{"cpus":1,"numa":[{"cpus":"0-1","memory":"64M"}]}""", "/numa/0/cpus")]
    [InlineData("""{"cpus":3,"numa":[{"cpus":"0-1","memory":"64M"}]}""", "/numa")]
    [InlineData("""{"memory":"1G","numa":[{"cpus":"0","memory":"64M"}]}""", "/numa")]
    [InlineData("""{"numa":[{"cpus":"0","memory":"64M","distances":[11]}]}""", "/numa/0/distances/0")]
    [InlineData("""{"numa":[{"cpus":"0","memory":"64M","distances":[10,20]}]}""", "/numa/0/distances")]
    [InlineData("""{"numa":[{"cpus":"0","memory":"64M","distances":[300]}]}""", "/numa/0/distances")]
    [InlineData("""{"numa":[{"cpus":"0","memory":"1M"}]}""", "/numa/0/memory")]
    [InlineData("[]", "")]
    [InlineData("{", "")]
    [InlineData("", "")]
    public void A_fault_is_named_by_its_pointer(string json, string pointer)
    {
        Assert.Null(Read(json, out var faults));
        Assert.Contains(pointer, faults.Select(fault => fault.Pointer));
    }

    [Fact]
    public void Every_fault_is_reported_at_once()
    {
        Read("""{"cpus":0,"memory":1,"name":"","display":{"width":1,"height":1}}""", out var faults);
        Assert.Equal(["/name", "/cpus", "/memory", "/display/width", "/display/height"], faults.Select(fault => fault.Pointer));
    }

    [Fact]
    public void Damaged_documents_are_refused_or_read_and_never_throw() => Damage(seed: 0x5eed, rounds: 20_000);

    [Fact(Explicit = true)]
    public void Damaged_documents_are_refused_or_read_and_never_throw_for_long() => Damage(Environment.TickCount, rounds: 2_000_000);

    private static void Damage(int seed, int rounds)
    {
        var random = new Random(seed);
        byte[] original = Encoding.UTF8.GetBytes(Complete);
        for (int round = 0; round < rounds; round++)
        {
            byte[] damaged = [.. original];
            for (int change = random.Next(1, 5); change > 0; change--)
            {
                damaged[random.Next(damaged.Length)] = (byte)random.Next(256);
            }

            int length = random.Next(4) == 0 ? random.Next(damaged.Length) : damaged.Length;
            var spec = MachineSpecJson.Read(damaged.AsMemory(0, length), out var faults);
            Assert.True(spec is null == faults.Count > 0, $"seed {seed}, round {round}");
        }
    }

    [Theory]
    [InlineData("0", 0UL)]
    [InlineData("512M", 512UL << 20)]
    [InlineData("2g", 2UL << 30)]
    [InlineData("64KiB", 64UL << 10)]
    [InlineData("1T", 1UL << 40)]
    public void Sizes_are_read_in_powers_of_1024(string text, ulong bytes)
    {
        Assert.True(ByteSize.TryParse(text, out ulong parsed));
        Assert.Equal(bytes, parsed);
        Assert.True(ByteSize.TryParse(ByteSize.Format(bytes), out parsed));
        Assert.Equal(bytes, parsed);
    }

    [Theory]
    [InlineData("")]
    [InlineData("M")]
    [InlineData("1X")]
    [InlineData("-1")]
    [InlineData("18446744073709551615K")]
    [InlineData("1.5G")]
    public void What_is_no_size_is_refused(string text) => Assert.False(ByteSize.TryParse(text, out _));

    private static MachineSpec? Read(string json, out IReadOnlyList<SpecFault> faults) =>
        MachineSpecJson.Read(Encoding.UTF8.GetBytes(json), out faults);
}
