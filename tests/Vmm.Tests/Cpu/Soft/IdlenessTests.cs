using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.State;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Vmm.Tests.Cpu.Soft;

/// <summary>What an idle processor gives back to the host.</summary>
public sealed unsafe class IdlenessTests : IDisposable
{
    // Decoded they take more than an idle processor may keep.
    private const int Instructions = 250_000;

    private readonly LongModeProcessor _processor = new();

    public void Dispose() => _processor.Dispose();

    [Fact]
    public void A_processor_that_sleeps_gives_its_blocks_back_and_goes_on_with_new_ones()
    {
        var vcpu = _processor.Vcpu;
        vcpu.IdleWindow = TimeSpan.FromMilliseconds(10);
        PlaceLongProgram();
        var thread = new Thread(() => vcpu.Run());
        thread.Start();
        // The test ends with its time limit if that never comes.
        SpinWait.SpinUntil(() => Volatile.Read(ref _processor.Gpr(9)) == 1 && vcpu.Blocks.Used == 0);
        vcpu.Kick();
        thread.Join();

        Restart();
        Assert.Equal(VcpuExit.Kicked, _processor.RunToHalt());
        Assert.Equal(2UL, _processor.Gpr(9));
        Assert.NotEqual(0U, vcpu.Blocks.Used);
    }

    [Fact]
    public void A_processor_that_halts_between_work_keeps_its_blocks()
    {
        var vcpu = _processor.Vcpu;
        PlaceLongProgram();
        for (int round = 0; round < 3; round++)
        {
            Restart();
            Assert.Equal(VcpuExit.Kicked, _processor.RunToHalt());
        }

        nuint used = vcpu.Blocks.Used;
        Assert.True(used > Instructions);
        // It sleeps, for less than the time after which it would be idle.
        vcpu.IdleWindow = TimeSpan.FromDays(1);
        var thread = new Thread(() => vcpu.Run());
        Restart();
        thread.Start();
        SpinWait.SpinUntil(() => Volatile.Read(ref _processor.Gpr(9)) == 4 && vcpu.Asleep);
        vcpu.Kick();
        thread.Join();
        Assert.Equal(used, vcpu.Blocks.Used);
    }

    private void PlaceLongProgram()
    {
        byte[] nops = new byte[Instructions];
        Array.Fill(nops, (byte)0x90);
        _processor.Place(nops);
        _processor.Place(
            code =>
            {
                code.inc(r9);
                code.hlt();
            },
            LongModeProcessor.Code + Instructions);
    }

    private void Restart()
    {
        ref var state = ref _processor.Cpu->State;
        state.Rip = LongModeProcessor.Code;
        state.Activity = VcpuActivity.Active;
        _processor.Vcpu.StateReplaced();
    }
}
