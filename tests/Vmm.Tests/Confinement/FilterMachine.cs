using WebVm.Vmm.Host.Native;
using static WebVm.Vmm.Host.Native.SeccompCalls;

namespace WebVm.Vmm.Tests.Confinement;

/// <summary>Runs a filter as the kernel would (Documentation/networking/filter.rst), for one call.</summary>
internal static unsafe class FilterMachine
{
    public static uint Run(sock_filter[] program, int number, ulong[] arguments, uint architecture = AUDIT_ARCH_X86_64, ulong instructionPointer = 0)
    {
        var data = new seccomp_data { nr = number, arch = architecture, instruction_pointer = instructionPointer };
        for (int index = 0; index < arguments.Length; index++)
        {
            data.args[index] = arguments[index];
        }

        uint accumulator = 0;
        for (int at = 0; ; at++)
        {
            var instruction = program[at];
            switch (instruction.code)
            {
                case BPF_LD | BPF_W | BPF_ABS:
                    accumulator = *(uint*)((byte*)&data + instruction.k);
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
                    throw new InvalidOperationException($"Instruction {at} has code {instruction.code:x}.");
            }
        }
    }
}
