using WebVm.Vmm.Cpu.State;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Kvm;

public sealed class CpuStateLayoutTests
{
    [Fact]
    public unsafe void TheExtendedStateIsAlignedForTheHostsOwnInstructions()
    {
        Assert.Equal(0, CpuState.XsaveOffset % 64);
        Assert.Equal(0, sizeof(CpuState) % 64);
    }
}
