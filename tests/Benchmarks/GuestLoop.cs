using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Benchmarks;

/// <summary>
/// A loop of 64-bit code for the speed of an emulator: counts RCX down to 0; RDI is <see cref="Data"/>, RSI 0, RSP below it.
/// </summary>
/// <param name="Instructions">In one iteration.</param>
/// <param name="Iterations">About a tenth of a second.</param>
internal sealed record GuestLoop(string Name, int Instructions, ulong Iterations, Action<Assembler> Body)
{
    public const ulong Data = 0x100_0000;

    /// <summary>Bytes that the memory-bound loop walks: more than the caches next to a core hold.</summary>
    private const int Footprint = 32 << 20;

    public static IReadOnlyList<GuestLoop> All { get; } =
    [
        new("integer loop", 9, 6_000_000, assembler =>
        {
            var loop = assembler.CreateLabel();
            assembler.Label(ref loop);
            assembler.add(rax, rbx);
            assembler.xor(rbx, rax);
            assembler.rol(rax, 5);
            assembler.imul(rdx, rax, 77);
            assembler.lea(rsi, __[rdx + (rbx * 2) + 9]);
            assembler.shr(rsi, 3);
            assembler.sub(rbx, rsi);
            assembler.dec(rcx);
            assembler.jnz(loop);
        }),
        new("memory loop, a line of 32 MiB each time", 8, 6_000_000, assembler =>
        {
            var loop = assembler.CreateLabel();
            assembler.Label(ref loop);
            assembler.mov(rax, __[rdi + rsi]);
            assembler.add(__[rdi + rsi + 8], rcx);
            assembler.add(rax, rcx);
            assembler.mov(__[rdi + rsi + 16], rax);
            assembler.add(rsi, 64 + 4096);
            assembler.and(rsi, Footprint - 1);
            assembler.dec(rcx);
            assembler.jnz(loop);
        }),
        new("calls and stack", 10, 3_000_000, assembler =>
        {
            var loop = assembler.CreateLabel();
            var function = assembler.CreateLabel();
            var end = assembler.CreateLabel();
            assembler.Label(ref loop);
            assembler.push(rcx);
            assembler.call(function);
            assembler.pop(rcx);
            assembler.dec(rcx);
            assembler.jnz(loop);
            assembler.jmp(end);
            assembler.Label(ref function);
            assembler.push(rbp);
            assembler.mov(rbp, rsp);
            assembler.add(rax, 3);
            assembler.pop(rbp);
            assembler.ret();
            assembler.Label(ref end);
            assembler.nop();
        }),
    ];
}
