using System.Buffers.Binary;
using System.Diagnostics;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Benchmarks;

/// <summary>
/// Runs a <see cref="GuestLoop"/> in QEMU's software emulation: a Multiboot kernel that enters 64-bit mode, loops, and leaves by
/// isa-debug-exit.
/// </summary>
internal static class QemuLoop
{
    private const uint LoadAddress = 0x10_0000;
    private const uint Magic = 0x1bad_b002;
    private const uint AddressFields = 1 << 16;
    private const uint Entry = LoadAddress + 32;
    private const uint Table = LoadAddress + 0x800;
    private const uint TableRegister = Table + 16;
    private const uint Code = LoadAddress + 0x1000;
    private const uint PageTables = 0x20_0000;
    private const byte ExitPort = 0xf4;
    private const uint EferNumber = 0xc000_0080;
    private const int Runs = 3;

    /// <summary>How much longer than on our engine it loops: it is faster, and its start is to be small beside the loop.</summary>
    private const ulong Longer = 20;

    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(2);

    /// <summary>Million guest instructions a second, QEMU's start not counted.</summary>
    public static double MeasureMips(GuestLoop loop)
    {
        double start = double.MaxValue;
        double whole = double.MaxValue;
        string kernel = Path.GetTempFileName();
        try
        {
            for (int run = 0; run < Runs; run++)
            {
                start = Math.Min(start, Time(kernel, loop, 1));
                whole = Math.Min(whole, Time(kernel, loop, loop.Iterations * Longer));
            }
        }
        finally
        {
            File.Delete(kernel);
        }

        return loop.Iterations * Longer * (ulong)loop.Instructions / 1e6 / (whole - start);
    }

    private static double Time(string kernel, GuestLoop loop, ulong iterations)
    {
        File.WriteAllBytes(kernel, Image(loop, iterations));
        long start = Stopwatch.GetTimestamp();
        using var process = Process.Start(
            "qemu-system-x86_64",
            ["-accel", "tcg", "-m", "64M", "-nodefaults", "-display", "none", "-no-reboot", "-device",
                "isa-debug-exit,iobase=0xf4,iosize=4", "-kernel", kernel]);
        if (!process.WaitForExit(s_limit))
        {
            process.Kill();
            throw new TimeoutException($"QEMU did not end within {s_limit.TotalSeconds} s.");
        }

        // isa-debug-exit: (0 << 1) | 1.
        return process.ExitCode == 1
            ? Stopwatch.GetElapsedTime(start).TotalSeconds
            : throw new InvalidOperationException($"QEMU ended with {process.ExitCode}.");
    }

    private static byte[] Image(GuestLoop loop, ulong iterations)
    {
        uint[] header = [Magic, AddressFields, unchecked(0u - Magic - AddressFields), LoadAddress, LoadAddress, 0, 0, Entry];
        byte[] image = new byte[0x2000];
        Buffer.BlockCopy(header, 0, image, 0, header.Length * sizeof(uint));

        // A null descriptor, 64-bit code; then limit and base for LGDT.
        BinaryPrimitives.WriteUInt64LittleEndian(image.AsSpan((int)(Table - LoadAddress) + 8), 0x00af_9b00_0000_ffff);
        BinaryPrimitives.WriteUInt64LittleEndian(image.AsSpan((int)(TableRegister - LoadAddress)), 15 | ((ulong)Table << 16));
        Assemble(32, Entry, EnterLongMode).CopyTo(image, (int)(Entry - LoadAddress));
        Assemble(64, Code, assembler =>
        {
            assembler.mov(rsp, GuestLoop.Data - 0x1000);
            assembler.mov(rdi, GuestLoop.Data);
            assembler.xor(esi, esi);
            assembler.mov(rcx, iterations);
            loop.Body(assembler);
            assembler.xor(eax, eax);
            assembler.@out(ExitPort, eax);
        }).CopyTo(image, (int)(Code - LoadAddress));
        return image;
    }

    /// <summary>Maps the first gigabyte to itself by pages of 2 MiB and goes to <see cref="Code"/>.</summary>
    private static void EnterLongMode(Assembler assembler)
    {
        var next = assembler.CreateLabel();
        assembler.mov(__dword_ptr[PageTables], (PageTables + 0x1000) | 3);
        assembler.mov(__dword_ptr[PageTables + 0x1000], (PageTables + 0x2000) | 3);
        assembler.xor(ecx, ecx);
        assembler.mov(eax, 0x83);
        assembler.Label(ref next);
        assembler.mov(__dword_ptr[(ecx * 8) + (int)(PageTables + 0x2000)], eax);
        assembler.add(eax, 0x20_0000);
        assembler.inc(ecx);
        assembler.cmp(ecx, 512);
        assembler.jb(next);
        assembler.mov(eax, PageTables);
        assembler.mov(cr3, eax);
        assembler.mov(eax, 0x20);
        assembler.mov(cr4, eax);
        assembler.mov(ecx, EferNumber);
        assembler.mov(eax, 0x100);
        assembler.xor(edx, edx);
        assembler.wrmsr();
        assembler.mov(eax, 0x8000_0011u);
        assembler.mov(cr0, eax);
        assembler.lgdt(__[TableRegister]);
        assembler.mov(esp, Code - 0x100);
        assembler.push(8);
        assembler.push((int)Code);
        assembler.retf();
    }

    private static byte[] Assemble(int bitness, uint address, Action<Assembler> program)
    {
        var assembler = new Assembler(bitness);
        program(assembler);
        using var code = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(code), address);
        return code.ToArray();
    }
}
