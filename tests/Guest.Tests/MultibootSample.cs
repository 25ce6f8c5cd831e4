using System.Diagnostics;

namespace WebVm.Guest.Tests;

/// <summary>Small Multiboot kernels (Multiboot 0.6.96), assembled when a test needs one.</summary>
internal static class MultibootSample
{
    private const string Frame = """
        bits 32
        org 0x200000
        magic equ 0x1badb002
        flags equ 0x10003
        header:
            dd magic, flags, -(magic + flags), header, header, end, end + 0x4000, start
        start:
            mov esp, end + 0x4000
            mov [information], ebx
        %body%
        hang:
            cli
            hlt
            jmp hang
        print:                      ; the zero-terminated text at esi, to COM1
            lodsb
            test al, al
            jz .done
            mov dx, 0x3f8
            out dx, al
            jmp print
        .done:
            ret
        information: dd 0
        end:
        """;

    /// <summary>
    /// Part of a body: IRQ 0 of the 8254 at vector 0x20, handled by .tick. The body has .gate and .table, and sets the divisor next.
    /// </summary>
    public const string TimerInterrupt = """
            mov eax, .tick
            mov word [.gate], ax
            shr eax, 16
            mov word [.gate + 6], ax
            mov word [.gate + 2], cs
            lidt [.table]
            mov al, 0x11
            out 0x20, al
            mov al, 0x20
            out 0x21, al
            mov al, 4
            out 0x21, al
            mov al, 1
            out 0x21, al
            mov al, 0xfe
            out 0x21, al
            mov al, 0x34
            out 0x43, al
        """;

    /// <summary>Says hello with its command line and first memory map entry, then ends by the debug port with 0x15.</summary>
    public const string Hello = """
            mov esi, .greeting
            call print
            mov ebx, [information]
            mov esi, [ebx + 16]
            call print
            mov al, 10
            mov dx, 0x3f8
            out dx, al
            test dword [ebx], 1 << 6
            jz hang
            mov eax, 0x15
            mov dx, 0xf4
            out dx, eax
            jmp hang
        .greeting: db "Hello from Multiboot: ", 0
        """;

    /// <summary>When something is typed into COM1, says far more than a socket holds, then ends by the debug port with 0x15.</summary>
    public const string Talk = """
            mov dx, 0x3fd
        .silent:
            in al, dx
            test al, 1
            jz .silent
            mov ecx, 700000
            mov dx, 0x3f8
            mov al, '.'
        .more:
            out dx, al
            dec ecx
            jnz .more
            mov eax, 0x15
            mov dx, 0xf4
            out dx, eax
            jmp hang
        """;

    /// <summary>Says what is typed into COM1, for ever.</summary>
    public const string Echo = """
        .wait:
            mov dx, 0x3fd
            in al, dx
            test al, 1
            jz .wait
            mov dx, 0x3f8
            in al, dx
            out dx, al
            jmp .wait
        """;

    /// <summary>Loads a broken interrupt table and faults: a triple fault that nobody asked for.</summary>
    public const string TripleFault = """
            lidt [.table]
            int3
        .table: dw 0x7ff
            dd 0x100000
        """;

    /// <summary>
    /// Writes 0 to the debug port if its local APIC is in virtual wire mode (enabled, LINT0 ExtINT, LINT1 NMI, neither masked) and the
    /// 8254's interrupt comes through the 8259A; else 1.
    /// </summary>
    public const string VirtualWire = $$"""
            mov eax, [0xfee000f0]
            cmp eax, 0x1ff
            jne .no
            mov eax, [0xfee00350]
            and eax, 0x10700
            cmp eax, 0x700
            jne .no
            mov eax, [0xfee00360]
            and eax, 0x10700
            cmp eax, 0x400
            jne .no
            ; the handler ends this kernel
        {{TimerInterrupt}}
            xor eax, eax
            out 0x40, al
            out 0x40, al
            sti
        .idle:
            hlt
            jmp .idle
        .tick:
            mov eax, 0
            jmp .end
        .no:
            mov eax, 1
        .end:
            mov dx, 0xf4
            out dx, eax
            jmp hang
        .table: dw 0x20 * 8 + 7
            dd .gate - 0x20 * 8
        .gate: dw 0, 0x10, 0x8e00, 0
        """;

    /// <summary>Takes the paravirtual clock, in a page of its own, says so and spins for ever with interrupts disabled.</summary>
    public const string TakesClock = """
            mov ecx, 0x4b564d01
            mov eax, 0x300001
            xor edx, edx
            wrmsr
            mov esi, .done
            call print
            cli
        .again:
            jmp .again
        .done: db "taken", 0
        """;

    /// <summary>Spins for ever.</summary>
    public const string Spin = """
        .again:
            jmp .again
        """;

    public static string Assemble(string body, string folder)
    {
        string source = Path.Combine(folder, "kernel.asm");
        string kernel = Path.Combine(folder, "kernel.bin");
        File.WriteAllText(source, Frame.Replace("%body%", body, StringComparison.Ordinal));
        using var nasm = Process.Start(new ProcessStartInfo("nasm", ["-f", "bin", "-o", kernel, source]) { RedirectStandardError = true })!;
        string errors = nasm.StandardError.ReadToEnd();
        nasm.WaitForExit();
        return nasm.ExitCode == 0 ? kernel : throw new InvalidOperationException(errors);
    }
}
