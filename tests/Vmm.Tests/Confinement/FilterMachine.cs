using WebVm.Vmm.Host.Native;
using static WebVm.Vmm.Host.Native.SeccompCalls;

namespace WebVm.Vmm.Tests.Confinement;

/// <summary>Runs a filter as the kernel does (classic BPF, net/core/filter.c) on a call that nobody makes.</summary>
internal static class FilterMachine
{
    private const uint Native = AUDIT_ARCH_X86_64;

    /// <returns>SECCOMP_RET_…</returns>
    public static uint Judge(
        sock_filter[] program, int number, ReadOnlySpan<ulong> arguments, uint architecture = Native, ulong instructionPointer = 0)
    {
        var data = new uint[16];
        data[0] = (uint)number;
        data[1] = architecture;
        data[2] = (uint)instructionPointer;
        data[3] = (uint)(instructionPointer >> 32);
        for (int index = 0; index < arguments.Length; index++)
        {
            data[4 + (index * 2)] = (uint)arguments[index];
            data[5 + (index * 2)] = (uint)(arguments[index] >> 32);
        }

        uint accumulator = 0;
        for (int at = 0; ; at++)
        {
            var instruction = program[at];
            switch (instruction.code)
            {
                case BPF_LD | BPF_W | BPF_ABS:
                    accumulator = data[instruction.k / 4];
                    break;
                case BPF_ALU | BPF_AND | BPF_K:
                    accumulator &= instruction.k;
                    break;
                case BPF_JMP | BPF_JA:
                    at += (int)instruction.k;
                    break;
                case BPF_JMP | BPF_JEQ | BPF_K:
                    at += accumulator == instruction.k ? instruction.jt : instruction.jf;
                    break;
                case BPF_JMP | BPF_JGE | BPF_K:
                    at += accumulator >= instruction.k ? instruction.jt : instruction.jf;
                    break;
                case BPF_JMP | BPF_JSET | BPF_K:
                    at += (accumulator & instruction.k) != 0 ? instruction.jt : instruction.jf;
                    break;
                case BPF_RET | BPF_K:
                    return instruction.k;
                default:
                    throw new InvalidOperationException($"Instruction {at} has code 0x{instruction.code:x}.");
            }
        }
    }
}
