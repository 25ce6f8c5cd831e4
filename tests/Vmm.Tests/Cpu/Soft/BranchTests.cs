using Xunit;
using Iced.Intel;
using WebVm.Vmm.Cpu.Soft;
using WebVm.Vmm.Cpu.State;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Vmm.Tests.Cpu.Soft;

public sealed unsafe class BranchTests
{
    [Fact]
    public void XsaveAreaIsAligned() => Assert.Equal(0, CpuState.XsaveOffset % 64);

    [Fact]
    public void CallReturnAndLoop()
    {
        using var machine = new LongModeProcessor();
        machine.Place(a =>
        {
            var again = a.CreateLabel();
            var routine = a.CreateLabel();
            a.Label(ref again);
            a.call(routine);
            a.loop(again);
            a.hlt();
            a.Label(ref routine);
            a.ret();
        });
        machine.Gpr(1) = 1000;
        Assert.Equal(WebVm.Vmm.Cpu.VcpuExit.Kicked, machine.RunToHalt());
        Assert.Equal(0UL, machine.Gpr(1));
        Assert.Equal(LongModeProcessor.Stack, machine.Gpr(4));
        Assert.Equal(3001UL, machine.Cpu->Instructions);
    }
}
