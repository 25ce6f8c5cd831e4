using Iced.Intel;
using WebVm.Vmm.Cpu.State;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Vmm.Tests.Cpu.Soft;

public sealed unsafe class BranchTests
{
    [Fact]
    public void XSAVE_area_is_aligned() => Assert.Equal(0, CpuState.XsaveOffset % 64);

    /// <summary>
    /// At a block's start, later in a block, and across a page's end: what RIP-relative addresses are relative to differs.
    /// </summary>
    [Theory]
    [InlineData(LongModeProcessor.Code, int.MaxValue)]
    [InlineData(LongModeProcessor.Code, int.MinValue)]
    [InlineData(LongModeProcessor.Code + 0xffc, int.MaxValue)]
    [InlineData(LongModeProcessor.Code + 0xffc, int.MinValue)]
    public void Rip_relative_addresses_reach_all_of_their_displacement(ulong start, int displacement)
    {
        using var machine = new LongModeProcessor();
        byte[] load = [0x48, 0x8d, 0x05, .. BitConverter.GetBytes(displacement)]; // LEA RAX, [RIP + displacement]
        byte[] second = [0x48, 0x8d, 0x0d, .. BitConverter.GetBytes(displacement)]; // LEA RCX, [RIP + displacement]
        machine.Place([.. load, 0x90, .. second, 0xf4], start);
        machine.Cpu->State.Rip = start;
        machine.RunToHalt();

        Assert.Equal(unchecked(start + 7 + (ulong)displacement), machine.Gpr(0));
        Assert.Equal(unchecked(start + 15 + (ulong)displacement), machine.Gpr(1));
    }

    /// <summary>SDM Vol. 2A §2.3.11; at a block's start, and across a page's end.</summary>
    [Theory]
    [InlineData(LongModeProcessor.Code)]
    [InlineData(LongModeProcessor.Code + 0xff5)]
    public void An_instruction_of_sixteen_bytes_is_a_protection_fault(ulong start)
    {
        using var machine = new LongModeProcessor();
        const ulong Undefined = 0x3000, Protection = 0x3010;
        machine.Place([0xb0, 6, 0xf4], Undefined); // MOV AL, 6; HLT
        machine.Place([0xb0, 13, 0xf4], Protection);
        machine.Write(0x4000 + (6 * 16), Undefined | (8UL << 16) | (0x8eUL << 40));
        machine.Write(0x4000 + (13 * 16), Protection | (8UL << 16) | (0x8eUL << 40));
        machine.Cpu->State.Idtr = new DescriptorTableRegister { Base = 0x4000, Limit = 0xfff };

        // Five prefixes and REX; MOV dword [RCX + 0], 0 without its last byte, then with it.
        byte[] prefixes = [0x2e, 0x2e, 0x2e, 0x2e, 0x2e];
        machine.Place(
            [.. prefixes, 0xc7, 0x81, 0, 0, 0, 0, 0x77, 0, 0, 0, .. prefixes, 0x40, 0xc7, 0x81, 0, 0, 0, 0, 0x55, 0, 0, 0], start);
        machine.Cpu->State.Rip = start;
        machine.Gpr(1) = LongModeProcessor.Data;
        machine.RunToHalt();

        Assert.Equal(0x77u, machine.Read<uint>(LongModeProcessor.Data));
        Assert.Equal(13UL, machine.Gpr(0));
    }

    [Fact]
    public void Call_return_and_loop()
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
