using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Soft;

/// <summary>Self- and cross-modifying code (SDM Vol. 3A §8.1.3, §11.6).</summary>
public sealed unsafe class CodeModificationTests
{
    [Fact]
    public void A_store_into_the_next_instruction_takes_effect_at_once()
    {
        using var machine = new LongModeProcessor();
        // mov byte [rip+1], 0x22; mov al, 0x11; hlt: the store replaces the immediate of the second.
        machine.Place([0xc6, 0x05, 0x01, 0x00, 0x00, 0x00, 0x22, 0xb0, 0x11, 0xf4]);
        machine.RunToHalt();
        Assert.Equal(0x22UL, machine.Gpr(0) & 0xff);
    }

    [Fact]
    public void A_loop_that_rewrites_its_own_body_counts_every_version()
    {
        using var machine = new LongModeProcessor();
        machine.Place(a =>
        {
            var again = a.CreateLabel();
            var patched = a.CreateLabel();
            a.mov(ecx, 200);
            a.lea(rdi, __[patched]);
            a.Label(ref again);
            a.mov(__byte_ptr[rdi + 1], cl);
            a.Label(ref patched);
            a.mov(al, 0);
            a.movzx(eax, al);
            a.add(ebx, eax);
            a.loop(again);
            a.hlt();
        });
        machine.RunToHalt();
        Assert.Equal(200UL * 201 / 2, machine.Gpr(3));
    }

    [Fact]
    public void String_stores_into_code_are_seen()
    {
        using var machine = new LongModeProcessor();
        machine.Place(a =>
        {
            var patched = a.CreateLabel();
            a.lea(rdi, __[patched]);
            a.mov(al, 0x90);
            a.mov(ecx, 2);
            a.rep.stosb();
            a.Label(ref patched);
            a.mov(bl, 0x55);
            a.hlt();
        });
        machine.Gpr(3) = 0;
        machine.RunToHalt();
        Assert.Equal(0UL, machine.Gpr(3));
    }

    [Fact]
    public void An_instruction_across_pages_notices_changes_of_both()
    {
        using var machine = new LongModeProcessor();
        const ulong At = LongModeProcessor.Code + 0xffd;
        // mov eax, 0x11223344 with three bytes before the page's end; ret.
        machine.Place([0xb8, 0x44, 0x33, 0x22, 0x11, 0xc3], At);
        machine.Place(a =>
        {
            a.mov(r8, At);
            a.call(r8);
            a.mov(ebx, eax);
            a.mov(__byte_ptr[r8 + 4], 0x99);
            a.call(r8);
            a.mov(ecx, eax);
            a.mov(__byte_ptr[r8 + 1], 0x88);
            a.call(r8);
            a.hlt();
        });
        machine.RunToHalt();
        Assert.Equal(0x1122_3344UL, machine.Gpr(3));
        Assert.Equal(0x9922_3344UL, machine.Gpr(1));
        Assert.Equal(0x9922_3388UL, machine.Gpr(0));
    }

    [Fact]
    public void Code_changed_from_outside_is_decoded_anew()
    {
        using var machine = new LongModeProcessor();
        machine.Place([0xb0, 0x11, 0xf4]);
        for (int round = 0; round < 100; round++)
        {
            machine.Write(LongModeProcessor.Code + 1, (byte)round);
            machine.Cpu->State.Rip = LongModeProcessor.Code;
            machine.Cpu->State.Activity = 0;
            machine.RunToHalt();
            Assert.Equal((ulong)round, machine.Gpr(0) & 0xff);
        }
    }

    [Fact]
    public void An_endless_loop_ends_when_another_thread_patches_it()
    {
        using var machine = new LongModeProcessor();
        // mov al, 1; jmp short -2 (to itself) becomes hlt.
        machine.Place([0xb0, 0x01, 0xeb, 0xfe, 0xf4]);
        using var patch = new Timer(_ => machine.Write(LongModeProcessor.Code + 2, (byte)0xf4), null, 50, Timeout.Infinite);
        machine.RunToHalt();
        Assert.Equal(WebVm.Vmm.Cpu.State.VcpuActivity.Halted, machine.Cpu->State.Activity);
        Assert.Equal(LongModeProcessor.Code + 3, machine.Cpu->State.Rip);
    }

    [Fact]
    public void The_cache_survives_being_filled_many_times()
    {
        using var machine = new LongModeProcessor();
        // 1 MiB of "inc eax; jmp +0": a block every four bytes, rewritten between rounds so that nothing is reused.
        byte[] code = new byte[1 << 20];
        for (int i = 0; i + 4 <= code.Length; i += 4)
        {
            (code[i], code[i + 1], code[i + 2], code[i + 3]) = (0xff, 0xc0, 0xeb, 0x00);
        }

        code[^4] = 0xf4;
        for (int round = 0; round < 3; round++)
        {
            code[0] = (byte)(round == 1 ? 0x90 : 0xff);
            code[1] = (byte)(round == 1 ? 0x90 : 0xc0);
            machine.Place(code);
            machine.Cpu->State.Rip = LongModeProcessor.Code;
            machine.Cpu->State.Activity = 0;
            machine.Gpr(0) = 0;
            machine.RunToHalt();
            Assert.Equal((ulong)(code.Length / 4) - (round == 1 ? 2u : 1u), machine.Gpr(0));
        }
    }
}
