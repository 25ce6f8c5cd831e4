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

    /// <summary>Loads a broken interrupt table and faults: a triple fault that nobody asked for.</summary>
    public const string TripleFault = """
            lidt [.table]
            int3
        .table: dw 0x7ff
            dd 0x100000
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
