using WebVm.Vmm.Cpu.State;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Vmm.Tests.Cpu.Soft;

/// <summary>What may and may not be kept of translations (SDM Vol. 3A §4.10).</summary>
public sealed unsafe class TranslationCacheTests
{
    private const ulong Window = 0x4000_0000;
    private const ulong WindowTable = 0x5_0000;
    private const ulong WindowDirectory = 0x5_1000;

    [Fact]
    public void Invlpg_makes_a_new_mapping_visible()
    {
        using var machine = WithWindow();
        machine.Place(a =>
        {
            a.mov(rax, __[rsi]);
            a.mov(__qword_ptr[rdi], rbx);
            a.invlpg(__byte_ptr[rsi]);
            a.mov(rcx, __[rsi]);
            a.hlt();
        });
        Run(machine);
        Assert.Equal(0x1111UL, machine.Gpr(0));
        Assert.Equal(0x2222UL, machine.Gpr(1));
    }

    [Fact]
    public void Invlpg_of_one_fragment_drops_all_of_a_large_page()
    {
        using var machine = WithWindow();
        machine.Write(WindowDirectory, 0x60_00e7UL);
        machine.Write(0x60_0000UL, 0x1111UL);
        machine.Write(0x60_5000UL, 0x1115UL);
        machine.Write(0x80_5000UL, 0x2225UL);
        machine.Place(a =>
        {
            a.mov(rax, __[rsi]);
            a.mov(rax, __[rsi + 0x5000]);
            a.mov(__qword_ptr[rdi], rbx);
            a.invlpg(__byte_ptr[rsi]);
            a.mov(rcx, __[rsi + 0x5000]);
            a.hlt();
        });
        machine.Gpr(7) = WindowDirectory;
        machine.Gpr(3) = 0x80_00e7;
        machine.Gpr(6) = Window;
        machine.RunToHalt();
        Assert.Equal(0x1115UL, machine.Gpr(0));
        Assert.Equal(0x2225UL, machine.Gpr(1));
    }

    [Fact]
    public void Reloading_CR3_makes_a_new_mapping_visible()
    {
        using var machine = WithWindow();
        machine.Place(a =>
        {
            a.mov(rax, __[rsi]);
            a.mov(__qword_ptr[rdi], rbx);
            a.mov(rdx, cr3);
            a.mov(cr3, rdx);
            a.mov(rcx, __[rsi]);
            a.hlt();
        });
        Run(machine);
        Assert.Equal(0x2222UL, machine.Gpr(1));
    }

    [Fact]
    public void Pcids_keep_their_translations_apart()
    {
        using var machine = WithWindow();
        machine.Cpu->State.Cr4 |= Cr4.Pcide;
        machine.Vcpu.StateReplaced();
        machine.Place(a =>
        {
            // PCID 1, where the window is read; the change under PCID 2; PCID 1 again without and with a flush; PCID 2.
            a.mov(rdx, LongModeProcessor.PageTables | 1);
            a.mov(cr3, rdx);
            a.mov(rax, __[rsi]);
            a.mov(rdx, LongModeProcessor.PageTables | 2);
            a.mov(cr3, rdx);
            a.mov(__qword_ptr[rdi], rbx);
            a.mov(rdx, LongModeProcessor.PageTables | 1 | (1UL << 63));
            a.mov(cr3, rdx);
            a.mov(r8, __[rsi]);
            a.mov(rdx, LongModeProcessor.PageTables | 1);
            a.mov(cr3, rdx);
            a.mov(r9, __[rsi]);
            a.mov(rdx, LongModeProcessor.PageTables | 2);
            a.mov(cr3, rdx);
            a.mov(rcx, __[rsi]);
            a.hlt();
        });
        Run(machine);
        Assert.Equal(0x1111UL, machine.Gpr(0));
        Assert.Equal(0x2222UL, machine.Gpr(1));
        // Nothing flushed PCID 1: the old translation may be used, and this processor does use it.
        Assert.Equal(0x1111UL, machine.Gpr(8));
        Assert.Equal(0x2222UL, machine.Gpr(9));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Invpcid_of_every_type_reaches_the_current_space(int type)
    {
        using var machine = WithWindow();
        machine.Cpu->State.Cr4 |= Cr4.Pcide;
        machine.Vcpu.StateReplaced();
        machine.Write(LongModeProcessor.Data, 0UL);
        machine.Write(LongModeProcessor.Data + 8, Window);
        machine.Place(a =>
        {
            a.mov(rax, __[rsi]);
            a.mov(__qword_ptr[rdi], rbx);
            a.mov(rdx, LongModeProcessor.Data);
            a.mov(r8, (ulong)type);
            a.invpcid(r8, __xmmword_ptr[rdx]);
            a.mov(rcx, __[rsi]);
            a.hlt();
        });
        Run(machine);
        Assert.Equal(0x2222UL, machine.Gpr(1));
    }

    [Fact]
    public void Thousands_of_address_spaces_are_recycled_correctly()
    {
        using var machine = WithWindow();
        machine.Place(a =>
        {
            var again = a.CreateLabel();
            a.mov(r10, 10_000);
            a.mov(rdx, cr3);
            a.Label(ref again);
            a.mov(__qword_ptr[rdi], rbx);
            a.mov(cr3, rdx);
            a.mov(rax, __[rsi]);
            a.add(r9, rax);
            a.xor(rbx, 0x60_0000 ^ 0x80_0000);
            a.dec(r10);
            a.jne(again);
            a.hlt();
        });
        Run(machine);
        Assert.Equal(5000UL * (0x1111 + 0x2222), machine.Gpr(9));
    }

    private static LongModeProcessor WithWindow()
    {
        // A 4 KiB window at 1 GiB onto one of two pages.
        var machine = new LongModeProcessor();
        machine.Write(LongModeProcessor.PageTables + 0x1000 + 8, WindowDirectory | 7);
        machine.Write(WindowDirectory, WindowTable | 7);
        machine.Write(WindowTable, 0x60_0067UL);
        machine.Write(0x60_0000UL, 0x1111UL);
        machine.Write(0x80_0000UL, 0x2222UL);
        return machine;
    }

    private static void Run(LongModeProcessor machine)
    {
        machine.Gpr(3) = 0x80_0067;
        machine.Gpr(6) = Window;
        machine.Gpr(7) = WindowTable;
        machine.Gpr(4) = 0x70_0000;
        machine.RunToHalt();
        Assert.Equal(WebVm.Vmm.Cpu.State.VcpuActivity.Halted, machine.Cpu->State.Activity);
    }
}
