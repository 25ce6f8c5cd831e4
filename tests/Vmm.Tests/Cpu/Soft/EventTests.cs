using Iced.Intel;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.State;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Vmm.Tests.Cpu.Soft;

/// <summary>Exceptions and interrupts in 64-bit mode (SDM Vol. 3A chapter 6).</summary>
public sealed unsafe class EventTests
{
    private const ulong Idt = 0x4000;
    private const ulong Tss = 0x6000;
    private const ulong Handler = 0x28_0000;
    private const ulong UserCode = 0x30_0000;
    private const ulong UserStack = 0x78_0000;
    private const ulong InnerStack = 0x90_0000;
    private const ulong IstStack = 0xa0_0000;

    [Fact]
    public void Page_fault_pushes_its_frame_and_sets_CR2()
    {
        using var machine = WithHandlers();
        machine.Gpr(4) = LongModeProcessor.Stack - 8;
        machine.Place(a =>
        {
            a.mov(rax, 0x7000_0000_1234);
            a.stc();
            a.mov(__dword_ptr[rax], ebx);
        });
        Assert.Equal(VcpuExit.Kicked, machine.RunToHalt());
        Assert.Equal(14UL, machine.Gpr(15));
        Assert.Equal(0x7000_0000_1234UL, machine.Cpu->State.Cr2);

        // Aligned to 16 before the frame: SS, RSP, RFLAGS (with RF and CF), CS, RIP, error code.
        ulong frame = machine.Gpr(4);
        Assert.Equal(LongModeProcessor.Stack - 16 - 48, frame);
        Assert.Equal(2UL, machine.Read<ulong>(frame));
        Assert.Equal(LongModeProcessor.Code + 11, machine.Read<ulong>(frame + 8));
        Assert.Equal(8UL, machine.Read<ulong>(frame + 16));
        Assert.Equal(0x1_0003UL, machine.Read<ulong>(frame + 24));
        Assert.Equal(LongModeProcessor.Stack - 8, machine.Read<ulong>(frame + 32));
        Assert.Equal(0x10UL, machine.Read<ulong>(frame + 40));
    }

    [Fact]
    public void Non_canonical_addresses_are_general_protection_and_stack_faults()
    {
        using var machine = WithHandlers();
        machine.Place(a =>
        {
            a.mov(rax, 0x8000_0000_0000_0000);
            a.mov(rbx, __[rax]);
        });
        machine.RunToHalt();
        Assert.Equal(13UL, machine.Gpr(15));
        Assert.Equal(0UL, machine.Read<ulong>(machine.Gpr(4)));

        using var second = WithHandlers(ist: 1);
        second.Place(a =>
        {
            a.mov(rsp, 0x8000_0000_0000_0000);
            a.push(rbx);
        });
        second.RunToHalt();
        Assert.Equal(12UL, second.Gpr(15));
    }

    [Fact]
    public void Interrupt_stack_table_switches_stacks()
    {
        using var machine = WithHandlers(ist: 1);
        machine.Place(a => a.ud2());
        machine.RunToHalt();
        Assert.Equal(6UL, machine.Gpr(15));
        Assert.Equal(IstStack - 40, machine.Gpr(4));
    }

    [Fact]
    public void Software_interrupts_respect_the_gates_privilege()
    {
        using var machine = WithHandlers();
        EnterUser(machine, a => a.@int(0x30));
        machine.RunToHalt();
        Assert.Equal(13UL, machine.Gpr(15));
        Assert.Equal((0x30UL << 3) | 2, machine.Read<ulong>(machine.Gpr(4)));
        Assert.Equal(UserCode, machine.Read<ulong>(machine.Gpr(4) + 8));

        using var open = WithHandlers(dpl: 3);
        EnterUser(open, a => a.@int(0x30));
        open.RunToHalt();
        Assert.Equal(0x30UL, open.Gpr(15));
        Assert.Equal(UserCode + 2, open.Read<ulong>(open.Gpr(4)));
        Assert.Equal(InnerStack - 40, open.Gpr(4));
        Assert.Equal(0x2bUL, open.Read<ulong>(open.Gpr(4) + 8));
        Assert.Equal(0x23UL, open.Read<ulong>(open.Gpr(4) + 32));
        Assert.Equal(0, open.Cpu->Cpl);
        Assert.Equal(0, open.Cpu->State.Segments[SegmentIndex.Ss].Selector);
    }

    [Fact]
    public void Contributory_faults_make_a_double_fault()
    {
        using var machine = WithHandlers();
        // #GP whose gate is not present: #NP on the way, so #DF with error code 0.
        machine.Write(Idt + (13 * 16), 0UL);
        machine.Place(a =>
        {
            a.mov(eax, 0x48);
            a.ltr(ax);
        });
        machine.RunToHalt();
        Assert.Equal(8UL, machine.Gpr(15));
        Assert.Equal(0UL, machine.Read<ulong>(machine.Gpr(4)));
    }

    [Fact]
    public void A_fault_while_delivering_a_double_fault_shuts_down()
    {
        using var machine = WithHandlers();
        machine.Cpu->State.Idtr.Limit = 0;
        machine.Place(a => a.ud2());
        Assert.Equal(VcpuExit.Shutdown, machine.RunToHalt());
        Assert.Equal(VcpuActivity.Shutdown, machine.Cpu->State.Activity);
    }

    [Fact]
    public void User_code_cannot_touch_what_is_the_systems()
    {
        (Action<Assembler> Code, ulong Vector)[] cases =
        [
            (a => a.hlt(), 13), (a => a.cli(), 13), (a => a.mov(rax, cr3), 13), (a => a.mov(cr3, rax), 13), (a => a.rdmsr(), 13),
            (a => a.wrmsr(), 13), (a => a.lgdt(__[rax]), 13), (a => a.@in(al, dx), 13), (a => a.invlpg(__byte_ptr[rax]), 13),
            (a => a.swapgs(), 13), (a => a.clts(), 13), (a => a.wbinvd(), 13), (a => a.mov(rax, dr7), 13), (a => a.stac(), 6),
            (a => a.sgdt(__[rsp - 32]), 13), (a => a.lmsw(ax), 13), (a => a.sysretq(), 13), (a => a.ltr(ax), 13),
        ];
        foreach (var (code, vector) in cases)
        {
            using var machine = WithHandlers();
            machine.Cpu->State.Cr4 |= Cr4.Umip;
            EnterUser(machine, code);
            machine.RunToHalt();
            Assert.Equal(vector, machine.Gpr(15));
        }
    }

    [Fact]
    public void System_calls_go_and_return()
    {
        using var machine = WithHandlers(dpl: 3);
        machine.Cpu->State.Msr.Star = (8UL << 32) | (0x1bUL << 48);
        machine.Cpu->State.Msr.Lstar = Handler + 0x8000;
        machine.Cpu->State.Msr.Sfmask = 0x600;
        machine.Place(
            a =>
            {
                a.swapgs();
                a.mov(r14, __qword_ptr.gs[8]);
                a.pushfq();
                a.pop(r13);
                a.swapgs();
                a.sysretq();
            },
            Handler + 0x8000);
        machine.Write(LongModeProcessor.Data + 8, 0x77UL);
        machine.Cpu->State.Msr.KernelGsBase = LongModeProcessor.Data;
        EnterUser(machine, a =>
        {
            a.mov(r12, 0);
            a.std();
            a.syscall();
            a.mov(r12, 5);
            a.@int(0x31);
        });
        machine.RunToHalt();
        Assert.Equal(0x31UL, machine.Gpr(15));
        Assert.Equal(5UL, machine.Gpr(12));
        Assert.Equal(0x77UL, machine.Gpr(14));
        Assert.Equal(0UL, machine.Gpr(13) & 0x400);
        Assert.Equal(0x400UL, machine.Gpr(11) & 0x400);
        Assert.Equal(0x2bUL, machine.Read<ulong>(machine.Gpr(4) + 8));
    }

    [Fact]
    public void Trap_flag_stops_behind_every_instruction()
    {
        using var machine = WithHandlers();
        machine.Place(
            a =>
            {
                a.inc(r14);
                a.iretq();
            },
            Handler + 0x1000);
        PointGate(machine, 1, Handler + 0x1000, 0, 0);
        machine.Place(a =>
        {
            a.pushfq();
            a.or(__qword_ptr[rsp], 0x100);
            a.popfq();
            a.nop();
            a.nop();
            a.add(rax, rbx);
            a.pushfq();
            a.and(__qword_ptr[rsp], -0x101);
            a.popfq();
            a.hlt();
        });
        machine.RunToHalt();
        // Behind the three, PUSHF, AND, POPF: the last clears TF but was begun with it set.
        Assert.Equal(6UL, machine.Gpr(14));
        Assert.Equal(0x4000UL, machine.Cpu->State.Dr[6] & 0x4000);
    }

    [Fact]
    public void Stepping_over_a_system_call_traps_in_user_code_alone()
    {
        using var machine = WithHandlers();
        machine.Place(
            a =>
            {
                // r14 counts traps, r13 those that came from CPL 0.
                a.inc(r14);
                a.test(__byte_ptr[rsp + 8], 3);
                a.setz(r12b);
                a.add(r13b, r12b);
                a.iretq();
            },
            Handler + 0x1000);
        PointGate(machine, 1, Handler + 0x1000, 0, 0);
        PointGate(machine, 0x31, Handler + (0x31 * 16), 3, 0);
        machine.Cpu->State.Msr.Star = (8UL << 32) | (0x1bUL << 48);
        machine.Cpu->State.Msr.Lstar = Handler + 0x8000;
        machine.Cpu->State.Msr.Sfmask = 0x700;
        machine.Place(
            a =>
            {
                a.nop();
                a.nop();
                a.sysretq();
            },
            Handler + 0x8000);
        EnterUser(machine, a =>
        {
            a.pushfq();
            a.or(__qword_ptr[rsp], 0x100);
            a.popfq();
            a.syscall();
            a.nop();
            a.@int(0x31);
        });
        machine.RunToHalt();
        Assert.Equal(0x31UL, machine.Gpr(15));
        // Behind SYSCALL (at SYSRET) and behind NOP.
        Assert.Equal(2UL, machine.Gpr(14));
        Assert.Equal(0UL, machine.Gpr(13));
    }

    [Fact]
    public void Instruction_breakpoints_hit_once_and_resume_by_rf()
    {
        using var machine = WithHandlers();
        machine.Place(
            a =>
            {
                a.inc(r14);
                a.mov(r13, dr6);
                a.iretq();
            },
            Handler + 0x1000);
        PointGate(machine, 1, Handler + 0x1000, 0, 0);
        var at = 0UL;
        machine.Place(a =>
        {
            a.nop();
            a.nop();
            a.inc(rax);
            a.nop();
            a.hlt();
        });
        at = LongModeProcessor.Code + 2;
        machine.Cpu->State.Dr[1] = at;
        machine.Cpu->State.Dr[7] = 0x408;
        machine.Vcpu.StateReplaced();
        machine.RunToHalt();
        Assert.Equal(1UL, machine.Gpr(14));
        Assert.Equal(2UL, machine.Gpr(13) & 0xf);
        Assert.Equal(1UL, machine.Gpr(0));
    }

    [Fact]
    public void Data_breakpoints_trap_behind_the_access()
    {
        using var machine = WithHandlers();
        machine.Cpu->State.Dr[0] = LongModeProcessor.Data + 4;
        machine.Cpu->State.Dr[7] = 0x400 | 1 | (0xdUL << 16);
        machine.Vcpu.StateReplaced();
        machine.Place(a =>
        {
            a.mov(rax, LongModeProcessor.Data);
            a.mov(rbx, __[rax]);
            a.mov(__dword_ptr[rax], ebx);
            a.mov(__qword_ptr[rax], rbx);
            a.hlt();
        });
        machine.RunToHalt();
        Assert.Equal(1UL, machine.Gpr(15));
        Assert.Equal(LongModeProcessor.Code + 10 + 3 + 2 + 3, machine.Read<ulong>(machine.Gpr(4)));
    }

    [Fact]
    public void Alignment_is_checked_for_users_who_ask()
    {
        using var machine = WithHandlers();
        machine.Cpu->State.Cr0 |= Cr0.Am;
        EnterUser(machine, a =>
        {
            a.pushfq();
            a.or(__qword_ptr[rsp], 0x4_0000);
            a.popfq();
            a.mov(rax, LongModeProcessor.Data + 2);
            a.mov(bx, __[rax]);
            a.mov(ebx, __[rax]);
        });
        machine.RunToHalt();
        Assert.Equal(17UL, machine.Gpr(15));
        Assert.Equal(0UL, machine.Read<ulong>(machine.Gpr(4)));
    }

    /// <summary>
    /// Two before the first is delivered: both run, the second behind the first. A third has no place; nor a second behind one in service.
    /// </summary>
    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 2)]
    [InlineData(3, 2)]
    public void An_NMI_waits_behind_the_one_in_service(int sent, int delivered)
    {
        using var machine = WithHandlers();
        machine.Place(
            a =>
            {
                a.inc(r14);
                a.iretq();
            },
            Handler + 0x1000);
        PointGate(machine, 2, Handler + 0x1000, 0, 0);
        for (int i = 0; i < sent; i++)
        {
            ((WebVm.Vmm.Interrupts.ILocalApicOwner)machine.Vcpu).Nmi();
        }

        machine.Place(a =>
        {
            a.nop();
            a.hlt();
        });
        machine.RunToHalt();
        Assert.Equal((ulong)delivered, machine.Gpr(14));
    }

    [Fact]
    public void Of_nmis_that_come_during_one_one_is_kept_and_saved()
    {
        using var machine = WithHandlers();
        machine.Cpu->State.NmiBlocked = 1;
        ((WebVm.Vmm.Interrupts.ILocalApicOwner)machine.Vcpu).Nmi();
        ((WebVm.Vmm.Interrupts.ILocalApicOwner)machine.Vcpu).Nmi();
        var state = (CpuState*)System.Runtime.InteropServices.NativeMemory.AlignedAlloc((nuint)sizeof(CpuState), 64);
        machine.Vcpu.Save(state);
        Assert.Equal(1, state->NmiPending);
        System.Runtime.InteropServices.NativeMemory.AlignedFree(state);
    }

    /// <summary>Every vector leads to "mov r15, vector; hlt".</summary>
    private static LongModeProcessor WithHandlers(int dpl = 0, int ist = 0)
    {
        var machine = new LongModeProcessor();
        for (uint vector = 0; vector < 64; vector++)
        {
            ulong handler = Handler + (vector * 16);
            machine.Place([0x49, 0xc7, 0xc7, (byte)vector, 0, 0, 0, 0xf4], handler);
            PointGate(machine, vector, handler, dpl, ist);
        }

        machine.Write(Tss + 4, InnerStack);
        machine.Write(Tss + 0x24, IstStack);
        ref var state = ref machine.Cpu->State;
        state.Idtr = new DescriptorTableRegister { Base = Idt, Limit = 0xfff };
        state.Segments[SegmentIndex.Tr] = new SegmentRegister { Selector = 0x40, Base = Tss, Limit = 0x67,
            Attributes = (SegmentAttributes)0x8b };
        return machine;
    }

    private static void PointGate(LongModeProcessor machine, uint vector, ulong handler, int dpl, int ist)
    {
        machine.Write(
            Idt + (vector * 16), (handler & 0xffff) | (8UL << 16) | ((ulong)(0x8e | (dpl << 5)) << 40) | ((ulong)ist << 32)
                | ((handler >> 16) << 48));
        machine.Write(Idt + (vector * 16) + 8, handler >> 32);
    }

    /// <summary>Starts at CPL 3 by IRETQ.</summary>
    private static void EnterUser(LongModeProcessor machine, Action<Assembler> program)
    {
        machine.Place(program, UserCode);
        machine.Place(a =>
        {
            a.push(0x23);
            a.push((int)UserStack);
            a.push(2);
            a.push(0x2b);
            a.push((int)UserCode);
            a.iretq();
        });
    }
}
