using System.Text.Json;
using WebVm.Vmm.Cpu.Measurement;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Kvm;

public sealed class HostProbeTests(ITestOutputHelper output)
{
    [Fact]
    public void The_probe_measures_this_host_and_explains_its_choice()
    {
        var probe = HostProbe.Measure();
        string json = JsonSerializer.Serialize(probe);
        output.WriteLine(json);
        Assert.Contains(probe.Engine, new[] { "kvm", "soft" });
        Assert.NotEmpty(probe.Reason);
        Assert.True(probe.Resources.MemoryTotal > 0);
        Assert.True(probe.Soft!.Privileged > 0);
        if (File.Exists("/dev/kvm") && probe.Kvm.Unusable is null)
        {
            Assert.Equal(12, probe.Kvm.ApiVersion);
            Assert.True(probe.Kvm.Speed!.Privileged > 0 && probe.Kvm.Speed.Unprivileged > 0);
            Assert.Equal(probe.Kvm.SystemCalls && probe.Kvm.Speed.Privileged > HostProbe.SoftEngineSpeed, probe.Engine == "kvm");
        }
        else
        {
            Assert.Equal("soft", probe.Engine);
        }

        Assert.Equal(probe.Engine, JsonSerializer.Deserialize<HostProbe>(json)!.Engine);
    }
}
