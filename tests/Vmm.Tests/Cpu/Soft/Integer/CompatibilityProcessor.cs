using System.Runtime.InteropServices;
using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Vmm.Tests.Cpu.Soft.Integer;

/// <summary>
/// As <see cref="HostProcessor"/> for 32-bit code: a far jump to Linux's 32-bit code segment and back. Code, stack and frame lie below 4
/// GiB.
/// </summary>
internal sealed unsafe partial class CompatibilityProcessor : IReferenceProcessor
{
    private const ulong Base = 0x2100_0000;
    private const int Size = 64 << 10;
    private const uint EntryCode = (uint)Base;
    private const uint NarrowCode = EntryCode + 0x1000;
    private const uint ExitCode = EntryCode + 0x2000;
    private const uint Frame = EntryCode + 0x3000;
    private const uint FlagsSlot = Frame + 0x100;
    private const uint HostStackSlot = Frame + 0x108;
    private const uint FarPointer = Frame + 0x110;
    private const uint StackTop = EntryCode + Size - 64;

    // Selectors of Linux (arch/x86/include/asm/segment.h: __USER32_CS, __USER_DS, __USER_CS).
    private const ushort Code32 = 0x23;
    private const ushort Data = 0x2b;
    private const ushort Code64 = 0x33;

    private const int ProtectionAll = 7;
    private const int MapPrivateAnonymousFixedNoReplace = 0x2 | 0x20 | 0x10_0000;

    public CompatibilityProcessor()
    {
        Assert.Equal((nint)Base, Mmap((nint)Base, Size, ProtectionAll, MapPrivateAnonymousFixedNoReplace, -1, 0));
        *(uint*)FarPointer = NarrowCode;
        *(ushort*)(FarPointer + 4) = Code32;
        Write(EntryCode, 64, a =>
        {
            a.push(rbx);
            a.push(rbp);
            a.push(r12);
            a.push(r13);
            a.push(r14);
            a.push(r15);
            a.mov(r15d, HostStackSlot);
            a.mov(__[r15], rsp);
            a.mov(esp, StackTop);
            a.mov(r15d, FarPointer);
            a.jmp(__fword_ptr[r15]);
        });
        Write(ExitCode, 64, a =>
        {
            a.mov(r15d, HostStackSlot);
            a.mov(rsp, __[r15]);
            a.xor(eax, eax);
            a.mov(ds, eax);
            a.mov(es, eax);
            a.pop(r15);
            a.pop(r14);
            a.pop(r13);
            a.pop(r12);
            a.pop(rbp);
            a.pop(rbx);
            a.ret();
        });
    }

    public void Run(ReadOnlySpan<byte> instruction, ref ProcessorState state)
    {
        byte[] bytes = instruction.ToArray();
        AssemblerRegister32[] registers = [eax, ecx, edx, ebx, esp, ebp, esi, edi];
        Write(NarrowCode, 32, a =>
        {
            a.mov(eax, (uint)Data);
            a.mov(ds, eax);
            a.mov(es, eax);
            a.push(__dword_ptr[FlagsSlot]);
            a.popfd();
            for (uint i = 0; i < 8; i++)
            {
                a.mov(registers[i], __dword_ptr[Frame + (i * 8)]);
            }

            a.db(bytes);
            for (uint i = 0; i < 8; i++)
            {
                a.mov(__dword_ptr[Frame + (i * 8)], registers[i]);
            }

            a.mov(esp, StackTop);
            a.pushfd();
            a.pop(__dword_ptr[FlagsSlot]);
            a.cld();
            a.jmp(Code64, ExitCode);
        });
        for (int i = 0; i < 8; i++)
        {
            ((ulong*)Frame)[i] = state.Gpr[i];
        }

        *(ulong*)FlagsSlot = (state.Rflags & HostProcessor.LoadedFlags) | 0x202;
        ((delegate* unmanaged<void>)EntryCode)();
        for (int i = 0; i < 8; i++)
        {
            state.Gpr[i] = (uint)((ulong*)Frame)[i];
        }

        state.Rflags = *(ulong*)FlagsSlot & HostProcessor.LoadedFlags;
    }

    public void Dispose() => _ = Munmap((nint)Base, Size);

    private static void Write(uint address, int bitness, Action<Assembler> write)
    {
        var assembler = new Assembler(bitness);
        write(assembler);
        using var stream = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(stream), address);
        stream.ToArray().CopyTo(new Span<byte>((byte*)address, 4096));
    }

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial nint Mmap(nint address, nuint length, int protection, int flags, int descriptor, long offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    private static partial int Munmap(nint address, nuint length);
}
