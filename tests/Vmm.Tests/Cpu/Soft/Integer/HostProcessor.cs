using System.Runtime.InteropServices;
using Iced.Intel;
using WebVm.Vmm.Host;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Vmm.Tests.Cpu.Soft.Integer;

/// <summary>
/// The best oracle there is: runs one user-mode instruction on the host's processor with all registers and the arithmetic flags loaded
/// before and stored after. The instruction must not fault or branch.
/// </summary>
internal sealed unsafe class HostProcessor : IReferenceProcessor
{
    /// <summary>The arithmetic flags and DF: what user code may set without effect on the test itself.</summary>
    public const ulong LoadedFlags = 0xcd5;

    // Trampolines are appended and never freed, so the arena is replaced when it is full.
    private const ulong ArenaSize = 4 << 20;

    private readonly ulong* _frame = (ulong*)NativeMemory.AlignedAlloc(4096, 64);
    private ExecutableMemory _arena = new("webvm-test-code", ArenaSize);

    /// <summary>Executes the instruction on <paramref name="state"/>.</summary>
    public void Run(ReadOnlySpan<byte> instruction, ref ProcessorState state)
    {
        byte[] code = Trampoline(instruction);
        nint address = _arena.Append(code);
        if (address == 0)
        {
            _arena.Dispose();
            _arena = new ExecutableMemory("webvm-test-code", ArenaSize);
            address = _arena.Append(code);
        }

        for (int i = 0; i < 16; i++)
        {
            _frame[i] = state.Gpr[i];
        }

        _frame[16] = (state.Rflags & LoadedFlags) | 0x202;
        ((delegate* unmanaged<void>)address)();
        for (int i = 0; i < 16; i++)
        {
            state.Gpr[i] = _frame[i];
        }

        state.Rflags = _frame[16] & LoadedFlags;
    }

    public void Dispose()
    {
        _arena.Dispose();
        NativeMemory.AlignedFree(_frame);
    }

    /// <summary>The frame's address and the host's stack pointer wait in vector registers, which no general instruction touches.</summary>
    private byte[] Trampoline(ReadOnlySpan<byte> instruction)
    {
        var a = new Assembler(64);
        a.push(rbx);
        a.push(rbp);
        a.push(r12);
        a.push(r13);
        a.push(r14);
        a.push(r15);
        a.movq(xmm15, rsp);
        a.mov(r15, (ulong)_frame);
        a.movq(xmm14, r15);
        a.push(__qword_ptr[r15 + (16 * 8)]);
        a.popfq();
        a.mov(rax, __[r15]);
        a.mov(rcx, __[r15 + 8]);
        a.mov(rdx, __[r15 + 16]);
        a.mov(rbx, __[r15 + 24]);
        a.mov(rsp, __[r15 + 32]);
        a.mov(rbp, __[r15 + 40]);
        a.mov(rsi, __[r15 + 48]);
        a.mov(rdi, __[r15 + 56]);
        a.mov(r8, __[r15 + 64]);
        a.mov(r9, __[r15 + 72]);
        a.mov(r10, __[r15 + 80]);
        a.mov(r11, __[r15 + 88]);
        a.mov(r12, __[r15 + 96]);
        a.mov(r13, __[r15 + 104]);
        a.mov(r14, __[r15 + 112]);
        a.mov(r15, __[r15 + 120]);
        a.db(instruction.ToArray());
        a.movq(xmm13, r15);
        a.movq(r15, xmm14);
        a.mov(__[r15], rax);
        a.mov(__[r15 + 8], rcx);
        a.mov(__[r15 + 16], rdx);
        a.mov(__[r15 + 24], rbx);
        a.mov(__[r15 + 32], rsp);
        a.mov(__[r15 + 40], rbp);
        a.mov(__[r15 + 48], rsi);
        a.mov(__[r15 + 56], rdi);
        a.mov(__[r15 + 64], r8);
        a.mov(__[r15 + 72], r9);
        a.mov(__[r15 + 80], r10);
        a.mov(__[r15 + 88], r11);
        a.mov(__[r15 + 96], r12);
        a.mov(__[r15 + 104], r13);
        a.mov(__[r15 + 112], r14);
        a.movq(__[r15 + 120], xmm13);
        a.movq(rsp, xmm15);
        a.pushfq();
        a.pop(__qword_ptr[r15 + (16 * 8)]);
        a.cld();
        a.pop(r15);
        a.pop(r14);
        a.pop(r13);
        a.pop(r12);
        a.pop(rbp);
        a.pop(rbx);
        a.ret();
        using var stream = new MemoryStream();
        a.Assemble(new StreamCodeWriter(stream), 0);
        return stream.ToArray();
    }
}
