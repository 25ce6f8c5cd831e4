using Iced.Intel;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Vmm.Tests.Cpu.Soft.Integer;

/// <summary>Locked instructions of two processors on the same memory lose nothing.</summary>
public sealed unsafe class AtomicTests
{
    private const ulong Data = 0x2000_0000;
    private const int Rounds = 4000;

    public static TheoryData<string> Increments =>
        ["inc byte", "inc word", "inc dword", "inc qword", "add unaligned", "add across lines", "cmpxchg8b across lines",
            "xadd across pages", "adc", "xadd", "sub", "cmpxchg8b", "cmpxchg16b", "btc"];

    [Theory]
    [MemberData(nameof(Increments))]
    public void Two_processors_count_together(string which)
    {
        using var first = new SoftProcessor(64);
        using var second = new SoftProcessor(first);
        byte[] code = Assemble(which);
        var other = new Thread(() => Repeat(second, code, which));
        other.Start();
        Repeat(first, code, which);
        other.Join();

        ulong* counter = (ulong*)(first.Memory + Data);
        ulong expected = which switch
        {
            "inc byte" => unchecked((byte)(2 * Rounds)),
            "inc word" => unchecked((ushort)(2 * Rounds)),
            "sub" => unchecked(0UL - (2 * Rounds)),
            "btc" => 0,
            _ => 2 * Rounds,
        };
        Assert.Equal(expected, *(ulong*)((byte*)counter + Offset(which)));
    }

    private static int Offset(string which) => which switch
    {
        "add unaligned" => 3,
        "add across lines" or "cmpxchg8b across lines" => 61,
        "xadd across pages" => 4093,
        _ => 0,
    };

    private static void Repeat(SoftProcessor processor, byte[] code, string which)
    {
        for (int i = 0; i < Rounds; i++)
        {
            ProcessorState state = default;
            bool done;
            do
            {
                ulong* counter = (ulong*)(processor.Memory + Data + Offset(which));
                state.Gpr[3] = Data;
                state.Gpr[9] = 1;
                state.Rflags = which == "adc" ? 3UL : 2;
                if (which.StartsWith("cmpxchg", StringComparison.Ordinal))
                {
                    ulong seen = Volatile.Read(ref *counter);
                    bool wide = which == "cmpxchg16b";
                    state.Gpr[0] = wide ? seen : (uint)seen;
                    state.Gpr[2] = wide ? Volatile.Read(ref counter[1]) : seen >> 32;
                    state.Gpr[1] = wide ? ulong.MaxValue - seen : 0;
                }

                // The new value is in RBX, so the address is in RDI.
                state.Gpr[7] = Data;
                state.Gpr[3] = which.StartsWith("cmpxchg", StringComparison.Ordinal) ? state.Gpr[0] + 1 : Data;
                Assert.True(processor.Run(code, ref state));
                done = !which.StartsWith("cmpxchg", StringComparison.Ordinal) || (state.Rflags & 0x40) != 0;
            }
            while (!done);
        }
    }

    private static byte[] Assemble(string which)
    {
        var a = new Assembler(64);
        switch (which)
        {
            case "inc byte": a.@lock.inc(__byte_ptr[rdi]); break;
            case "inc word": a.@lock.inc(__word_ptr[rdi]); break;
            case "inc dword": a.@lock.inc(__dword_ptr[rdi]); break;
            case "inc qword": a.@lock.inc(__qword_ptr[rdi]); break;
            case "add unaligned": a.@lock.add(__qword_ptr[rdi + 3], 1); break;
            case "add across lines": a.@lock.add(__qword_ptr[rdi + 61], 1); break;
            case "cmpxchg8b across lines": a.@lock.cmpxchg8b(__[rdi + 61]); break;
            case "xadd across pages": a.@lock.xadd(__[rdi + 4093], r9); break;
            case "adc": a.@lock.adc(__qword_ptr[rdi], 0); break;
            case "xadd": a.@lock.xadd(__[rdi], r9); break;
            case "sub": a.@lock.sub(__[rdi], r9); break;
            case "cmpxchg8b": a.@lock.cmpxchg8b(__[rdi]); break;
            case "cmpxchg16b": a.@lock.cmpxchg16b(__[rdi]); break;
            default: a.@lock.btc(__qword_ptr[rdi], 5); break;
        }

        using var stream = new MemoryStream();
        a.Assemble(new StreamCodeWriter(stream), 0);
        return stream.ToArray();
    }
}
