using WebVm.Vmm.Host.Native;
using static WebVm.Vmm.Host.Native.SeccompCalls;

namespace WebVm.Vmm.Confinement;

/// <summary>One line of a filter: a call, what its arguments must be, the answer, and why.</summary>
/// <param name="Number">SYS_…</param>
/// <param name="Action">SECCOMP_RET_…, with the errno where it is one.</param>
internal sealed record SystemCallRule(int Number, uint Action, string Reason, ArgumentTest[] Tests);

/// <summary>
/// A list of the system calls that a process or thread may make, each with its reason, and its translation into the program that the kernel
/// runs at each call (seccomp(2)). What is not in it gets the answer that <see cref="Assemble"/> is given. Several lines of one call are
/// alternatives. Calls of other instruction sets (int 0x80, x32) are always refused.
/// </summary>
internal sealed class SystemCallFilter
{
    private const int NumberOffset = 0; // struct seccomp_data
    private const int ArchitectureOffset = 4;
    private const uint X32Bit = 0x40000000; // __X32_SYSCALL_BIT

    private readonly List<SystemCallRule> _rules = [];

    public IReadOnlyList<SystemCallRule> Rules => _rules;

    public SystemCallFilter Allow(int number, string reason, params ArgumentTest[] tests)
    {
        _rules.Add(new(number, SECCOMP_RET_ALLOW, reason, tests));
        return this;
    }

    /// <summary>The call is not made and fails with that error: for callers that take no for an answer.</summary>
    public SystemCallFilter Fail(int number, int errno, string reason, params ArgumentTest[] tests)
    {
        _rules.Add(new(number, SECCOMP_RET_ERRNO | (uint)errno, reason, tests));
        return this;
    }

    public SystemCallFilter Add(SystemCallFilter other)
    {
        _rules.AddRange(other._rules);
        return this;
    }

    /// <param name="otherwise">For every call that no line fits: SECCOMP_RET_KILL_PROCESS in use.</param>
    public sock_filter[] Assemble(uint otherwise = SECCOMP_RET_KILL_PROCESS)
    {
        List<sock_filter> program =
        [
            Load(ArchitectureOffset),
            new(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, AUDIT_ARCH_X86_64),
            Return(SECCOMP_RET_KILL_PROCESS),
            Load(NumberOffset),
            new(BPF_JMP | BPF_JGE | BPF_K, 0, 1, X32Bit),
            Return(SECCOMP_RET_KILL_PROCESS),
        ];
        List<int> done = [];
        foreach (var rule in _rules)
        {
            if (done.Contains(rule.Number))
            {
                continue;
            }

            done.Add(rule.Number);
            var block = Block(rule.Number, otherwise);
            // Conditional jumps reach 255 instructions, JA any.
            program.Add(new(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, (uint)rule.Number));
            program.Add(new(BPF_JMP | BPF_JA, 0, 0, (uint)block.Count));
            program.AddRange(block);
        }

        program.Add(Return(otherwise));
        return program.Count <= BPF_MAXINSNS
            ? [.. program]
            : throw new InvalidOperationException($"The filter has {program.Count} instructions.");
    }

    private List<sock_filter> Block(int number, uint otherwise)
    {
        List<sock_filter> block = [];
        foreach (var rule in _rules)
        {
            if (rule.Number != number)
            {
                continue;
            }

            AddAlternative(block, rule);
            if (rule.Tests.Length == 0)
            {
                return block;
            }
        }

        block.Add(Return(otherwise));
        return block;
    }

    private static void AddAlternative(List<sock_filter> block, SystemCallRule rule)
    {
        List<(sock_filter Instruction, bool WhenTrue, bool WhenFalse)> body = [];
        foreach (var test in rule.Tests)
        {
            AddTest(body, test);
        }

        int end = body.Count + 1;
        for (int index = 0; index < body.Count; index++)
        {
            var (instruction, whenTrue, whenFalse) = body[index];
            byte away = checked((byte)(end - index - 1));
            block.Add(new(instruction.code, whenTrue ? away : instruction.jt, whenFalse ? away : instruction.jf, instruction.k));
        }

        block.Add(Return(rule.Action));
    }

    /// <summary>Instructions, each with whether its jumps leave the alternative.</summary>
    private static void AddTest(List<(sock_filter Instruction, bool WhenTrue, bool WhenFalse)> body, ArgumentTest test)
    {
        body.Add((Load(test.Offset), false, false));
        var values = test.Values.Span;
        switch (test.Kind)
        {
            case ArgumentTestKind.OneOf32:
                for (int index = 0; index < values.Length; index++)
                {
                    bool last = index == values.Length - 1;
                    body.Add(
                        (new(BPF_JMP | BPF_JEQ | BPF_K, checked((byte)(values.Length - 1 - index)), 0, (uint)values[index]), false, last));
                }

                break;
            case ArgumentTestKind.None32:
                body.Add((new(BPF_JMP | BPF_JSET | BPF_K, 0, 0, (uint)test.Mask), true, false));
                break;
            case ArgumentTestKind.Masked32:
                body.Add((new(BPF_ALU | BPF_AND | BPF_K, 0, 0, (uint)test.Mask), false, false));
                body.Add((new(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, (uint)values[0]), false, true));
                break;
            case ArgumentTestKind.Equal64:
                body.Add((new(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, (uint)values[0]), false, true));
                body.Add((Load(test.Offset + sizeof(uint)), false, false));
                body.Add((new(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, (uint)(values[0] >> 32)), false, true));
                break;
        }
    }

    private static sock_filter Load(int offset) => new(BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint)offset);

    private static sock_filter Return(uint action) => new(BPF_RET | BPF_K, 0, 0, action);
}
