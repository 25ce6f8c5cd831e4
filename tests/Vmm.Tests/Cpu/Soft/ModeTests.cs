using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Soft.Vcpu;
using WebVm.Vmm.Cpu.State;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Soft;

/// <summary>
/// Operating modes and the ways between them; programs are assembled by nasm where it is there, so that the far forms are right.
/// </summary>
public sealed unsafe class ModeTests
{
    /// <summary>
    /// From the real mode that a start-up message gives through protected to 64-bit mode, to compatibility mode and all the way back.
    /// </summary>
    [Fact]
    public void Through_all_modes_and_back()
    {
        using var machine = new LongModeProcessor();
        Start(machine, """
            bits 16
            org 0x7000
            start:
                mov ax, cs
                mov ds, ax
                mov word [0x500], 0x1616
                lgdt [gdtr]
                mov eax, cr0
                or al, 1
                mov cr0, eax
                jmp dword 0x18:protected
            bits 32
            protected:
                mov ax, 0x20
                mov ds, ax
                mov ss, ax
                mov es, ax
                mov esp, 0x9000
                mov dword [0x504], 0x32323232
                mov eax, cr4
                or eax, 0x20
                mov cr4, eax
                mov eax, 0x10000
                mov cr3, eax
                mov ecx, 0xc0000080
                rdmsr
                or eax, 0x100
                wrmsr
                mov eax, cr0
                or eax, 0x80000000
                mov cr0, eax
                ; compatibility mode now
                mov ecx, 0xc0000080
                rdmsr
                mov [0x508], eax
                jmp 0x28:wide
            bits 64
            wide:
                mov rax, 0x1122334455667788
                mov [0x510], rax
                push 0x18
                push compatible
                o64 retf
            bits 32
            compatible:
                mov dword [0x518], 0x43434343
                mov eax, cr0
                and eax, 0x7fffffff
                mov cr0, eax
                mov ecx, 0xc0000080
                rdmsr
                and eax, 0xfffffeff
                wrmsr
                rdmsr
                mov [0x51c], eax
                jmp 0x30:narrow
            bits 16
            narrow:
                mov ax, 0x38
                mov ds, ax
                mov ss, ax
                mov eax, cr0
                and al, 0xfe
                mov cr0, eax
                jmp 0:real
            real:
                xor ax, ax
                mov ds, ax
                mov word [0x520], 0x6161
                hlt
            align 8
            gdtr: dw 0x3f
                dd gdt
            align 8
            gdt: dq 0, 0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff, 0x00009b000000ffff, 0x000093000000ffff
            """);
        Assert.Equal(VcpuExit.Kicked, machine.RunToHalt());
        Assert.Equal(0x1616, machine.Read<ushort>(0x500));
        Assert.Equal(0x3232_3232u, machine.Read<uint>(0x504));
        Assert.Equal(0x500u, machine.Read<uint>(0x508) & 0x500);
        Assert.Equal(0x1122_3344_5566_7788UL, machine.Read<ulong>(0x510));
        Assert.Equal(0x4343_4343u, machine.Read<uint>(0x518));
        Assert.Equal(0u, machine.Read<uint>(0x51c) & 0x500);
        Assert.Equal(0x6161, machine.Read<ushort>(0x520));
    }

    /// <summary>Ring 3 calls ring 0 through a 32-bit call gate with two parameters, which returns and drops them.</summary>
    [Fact]
    public void Call_gates_switch_stacks_and_copy_parameters()
    {
        using var machine = new LongModeProcessor();
        Start(machine, Protected + """
                push dword 0x3b
                push dword 0x9800
                push dword 0x33
                push dword user
                retf
            user:
                mov ax, 0x3b
                mov ds, ax
                push dword 0x1111
                push dword 0x2222
                call 0x40:0
                mov [0x50c], esp
                mov ax, cs
                mov [0x510], ax
                int 0x20
            gate:
                mov eax, [esp + 8]
                mov [0x500], eax
                mov eax, [esp + 12]
                mov [0x504], eax
                mov [0x508], esp
                retf 8
            stop:
                hlt
            """ + Tables("dw gate, 0x18, 0xec02, 0", "dw stop, 0x18, 0xee00, 0"));
        Assert.Equal(VcpuExit.Kicked, machine.RunToHalt());
        Assert.Equal(0x2222u, machine.Read<uint>(0x500));
        Assert.Equal(0x1111u, machine.Read<uint>(0x504));
        Assert.Equal(0x8f00u - 24, machine.Read<uint>(0x508));
        Assert.Equal(0x9800u, machine.Read<uint>(0x50c));
        Assert.Equal(0x33, machine.Read<ushort>(0x510));
    }

    /// <summary>A program in virtual-8086 mode whose INT goes to the monitor in ring 0.</summary>
    [Fact]
    public void Virtual8086_mode_is_entered_and_left_by_interrupts()
    {
        using var machine = new LongModeProcessor();
        Start(machine, Protected + """
                push dword 0x600    ; gs
                push dword 0x600    ; fs
                push dword 0x600    ; ds
                push dword 0x600    ; es
                push dword 0x700    ; ss
                push dword 0x1000   ; esp
                push dword 0x23002  ; VM, IOPL 3
                push dword 0        ; cs
                push dword virtual
                iret
            bits 16
            virtual:
                mov word [8], 0x8086
                mov ax, ds
                push ax
                int 0x20
            bits 32
            stop:
                mov ax, 0x20
                mov ds, ax
                mov eax, [esp + 8]
                mov [0x500], eax
                mov eax, [esp + 16]
                mov [0x504], eax
                mov eax, [esp + 24]
                mov [0x508], eax
                hlt
            """ + Tables("dq 0", "dw stop, 0x18, 0xee00, 0"));
        Assert.Equal(VcpuExit.Kicked, machine.RunToHalt());
        Assert.Equal(0x8086, machine.Read<ushort>(0x6008));
        Assert.Equal(0x600, machine.Read<ushort>(0x7ffe));
        Assert.Equal(0x2_3002u, machine.Read<uint>(0x500) & 0x2_3002);
        Assert.Equal(0x700u, machine.Read<uint>(0x504));
        Assert.Equal(0x600u, machine.Read<uint>(0x508));
        Assert.Equal(0UL, machine.Cpu->State.Rflags & RflagsBits.Vm);
    }

    /// <summary>CALL to another task's TSS and IRET back: every register is the task's own.</summary>
    [Fact]
    public void Tasks_switch_and_return()
    {
        using var machine = new LongModeProcessor();
        Start(machine, Protected + """
                mov dword [other + 32], task
                mov dword [other + 36], 2
                mov dword [other + 40], 0x77
                mov dword [other + 56], 0x9c00
                mov dword [other + 72], 0x20
                mov dword [other + 76], 0x18
                mov dword [other + 80], 0x20
                mov dword [other + 84], 0x20
                mov eax, 0x55
                call 0x50:0
                mov [0x508], eax
                mov eax, cr0
                mov [0x50c], eax
                hlt
            task:
                mov [0x500], eax
                pushf
                pop dword [0x504]
                iret
                hlt
            stop:
                hlt
            """ + Tables("dq 0", "dw stop, 0x18, 0xee00, 0"));
        Assert.Equal(VcpuExit.Kicked, machine.RunToHalt());
        Assert.Equal(0x77u, machine.Read<uint>(0x500));
        Assert.Equal(0x4000u, machine.Read<uint>(0x504) & 0x4000);
        Assert.Equal(0x55u, machine.Read<uint>(0x508));
        Assert.Equal(8u, machine.Read<uint>(0x50c) & 8);
        Assert.Equal(0x48, machine.Cpu->State.Segments[SegmentIndex.Tr].Selector);
    }

    /// <summary>
    /// A hardware task switch and a data breakpoint that waits behind a load of SS: it traps before the task's first instruction, together
    /// with the task's own T flag (SDM Vol. 3A §6.8.3, Vol. 3B §17.3.1.5).
    /// </summary>
    [Theory]
    [InlineData("", 0, -1, 0x0)]
    [InlineData("", 1, 1, 0x8000)]
    [InlineData("mov ss, [0x600]", 0, 1, 0x1)]
    [InlineData("mov ss, [0x600]", 1, 1, 0x8001)]
    [InlineData("pop ss", 0, 1, 0x1)]
    [InlineData("pop ss", 1, 1, 0x8001)]
    public void A_task_switch_takes_waiting_debug_conditions_along_to_the_tasks_first_instruction(
        string first, int trap, int vector, int conditions)
    {
        using var machine = new LongModeProcessor();
        Start(machine, Protected + $"""
                mov dword [other + 32], task
                mov dword [other + 36], 2
                mov dword [other + 56], 0x9c00
                mov dword [other + 72], 0x20
                mov dword [other + 76], 0x18
                mov dword [other + 80], 0x20
                mov dword [other + 84], 0x20
                mov word [other + 100], {trap}
                mov word [0x600], 0x20
                mov esp, 0x600
                mov eax, 0x600
                mov dr0, eax
                mov eax, 0x701
                or eax, 0x70000
                mov dr7, eax
                {first}
                call 0x50:0
                hlt
            task:
                mov dword [0x500], 0x77
                hlt
            stop:
                hlt
            """ + Tables("dq 0", "dw stop, 0x18, 0xee00, 0"));
        Assert.Equal(VcpuExit.Kicked, machine.RunToHalt());
        Assert.Equal(0x50, machine.Cpu->State.Segments[SegmentIndex.Tr].Selector);
        Assert.Equal((ulong)conditions, machine.Cpu->State.Dr[6] & 0xe00f);
        Assert.Equal(vector == 1 ? 0u : 0x77u, machine.Read<uint>(0x500));
        Assert.Equal(vector == 1 ? 1u : 0x20u, Vector(machine));
    }

    /// <summary>Limits, rights and expand-down segments in protected mode.</summary>
    [Theory]
    [InlineData("mov ax, 0x60\nmov ds, ax\nmov eax, [0xffd]", 13)]
    [InlineData("mov ax, 0x60\nmov ds, ax\nmov eax, [0xffc]", 0x20)]
    [InlineData("mov ax, 0x68\nmov ds, ax\nmov eax, [0xfff]", 13)]
    [InlineData("mov ax, 0x68\nmov ds, ax\nmov eax, [0x1000]", 0x20)]
    [InlineData("mov byte [cs:0x500], 1", 13)]
    [InlineData("mov ax, 0x70\nmov ds, ax", 11)]
    [InlineData("mov ax, 0x3b\nmov ss, ax", 13)]
    [InlineData("xor eax, eax\nmov ds, ax\nmov eax, [0x500]", 13)]
    [InlineData("mov ax, 0x60\nmov ss, ax\nmov esp, 0x1000\nmov eax, [esp]", 12)]
    [InlineData("jmp 0x20:0", 13)]
    [InlineData("jmp 0x0:0", 13)]
    [InlineData("mov ax, 0x1000\nmov ds, ax", 13)]
    public void Segments_are_checked(string program, int vector)
    {
        using var machine = new LongModeProcessor();
        Start(machine, Protected + program + "\n    int 0x20\nstop:\n    hlt\n" + Tables("dq 0", "dw stop, 0x18, 0xee00, 0"));
        machine.RunToHalt();
        Assert.Equal((uint)vector, Vector(machine));
    }

    /// <summary>The handlers of vectors 0 to 31 lie eight bytes apart from 0x2000.</summary>
    private static uint Vector(LongModeProcessor machine)
    {
        ulong rip = machine.Cpu->State.Rip;
        return rip is >= 0x2000 and < 0x2100 ? (uint)(rip - 0x2000) >> 3 : 0x20;
    }

    private const string Protected = """
        bits 16
        org 0x7000
            xor ax, ax
            mov ds, ax
            lgdt [gdtr]
            lidt [idtr]
            mov eax, cr0
            or al, 1
            mov cr0, eax
            jmp dword 0x18:entry
        bits 32
        entry:
            mov ax, 0x20
            mov ds, ax
            mov es, ax
            mov ss, ax
            mov esp, 0x9000
            mov ax, 0x48
            ltr ax

        """;

    private static string Tables(string gate, string interrupt) => $"""

        align 8
        gdtr: dw 0x7f
            dd gdt
        idtr: dw 0x10f
            dd 0x2200
        align 8
        gdt: dq 0, 0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0, 0x00cffb000000ffff, 0x00cff3000000ffff
            {gate}
            dw 0x67, tss, 0x8900, 0
            dw 0x67, other, 0x8900, 0
            dq 0
            dq 0x0040930000000fff
            dq 0x0040970000000fff
            dq 0x00cf13000000ffff
            dq 0
        tss: dd 0, 0x8f00, 0x20
            times 23 dd 0
        other: times 26 dd 0
        gate20: {interrupt}
        """;

    /// <summary>Assembles, places at 0x7000 and starts in real mode; IDT entries 0-31 halt, 0x20 is the program's.</summary>
    private static void Start(LongModeProcessor machine, string source)
    {
        byte[] code = Nasm.Assemble(source, "gate20");
        machine.Place(code.AsSpan(0, code.Length), 0x7000);
        for (uint vector = 0; vector < 32; vector++)
        {
            machine.Place([0xf4], 0x2000 + (vector * 8));
            machine.Write(0x2200 + (vector * 8), (0x2000 + (vector * 8)) | (0x18UL << 16) | (0x8eUL << 40));
        }

        if (code.Length >= 8)
        {
            machine.Write(0x2200UL + (0x20 * 8), BitConverter.ToUInt64(code, code.Length - 8));
        }

        ref var state = ref machine.Cpu->State;
        CpuReset.PowerOn(&machine.Cpu->State, bootProcessor: false);
        CpuReset.StartUp(&machine.Cpu->State, 7);
        // The jump that real mode code expects to have been made to 0:0x7000.
        state.Segments[SegmentIndex.Cs].Base = 0;
        state.Segments[SegmentIndex.Cs].Selector = 0;
        state.Rip = 0x7000;
        machine.Vcpu.StateReplaced();
    }
}
