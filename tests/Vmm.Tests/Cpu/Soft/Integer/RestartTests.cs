using Iced.Intel;
using WebVm.Vmm.Cpu.Soft.Context;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Vmm.Tests.Cpu.Soft.Integer;

/// <summary>An instruction that faults has not happened, except for the elements of a string instruction that were done.</summary>
public sealed unsafe class RestartTests : IDisposable
{
    /// <summary>First address that is not mapped.</summary>
    private const ulong Edge = 0x3000_0000;

    private const ulong Data = 0x2000_0000;

    private readonly SoftProcessor _soft = new(64);

    public RestartTests() => _soft.Unmap(Edge);

    public void Dispose() => _soft.Dispose();

    [Fact]
    public void Repeated_move_stops_at_the_element_that_faults()
    {
        var state = State();
        state.Gpr[1] = 10;
        state.Gpr[6] = Data;
        state.Gpr[7] = Edge - 5;
        new Span<byte>(_soft.Memory + Data, 10).Fill(0x5a);

        Assert.False(Run(a => a.rep.movsb(), ref state));

        Assert.Equal(ExceptionVector.PageFault, _soft.Exception);
        Assert.Equal(SoftProcessor.CodeAddress, _soft.Rip);
        Assert.Equal((5UL, Data + 5, Edge), (state.Gpr[1], state.Gpr[6], state.Gpr[7]));
        Assert.Equal(5, new Span<byte>(_soft.Memory + Edge - 5, 8).Count((byte)0x5a));
    }

    [Fact]
    public void Repeated_store_leaves_an_element_that_straddles_the_fault_whole()
    {
        var state = State();
        state.Gpr[0] = ulong.MaxValue;
        state.Gpr[1] = 4;
        state.Gpr[7] = Edge - 12;
        new Span<byte>(_soft.Memory + Edge - 12, 12).Clear();

        Assert.False(Run(a => a.rep.stosq(), ref state));

        Assert.Equal((3UL, Edge - 4), (state.Gpr[1], state.Gpr[7]));
        Assert.Equal(uint.MinValue, *(uint*)(_soft.Memory + Edge - 4));
    }

    [Fact]
    public void Repeated_move_downwards_stops_at_the_element_that_faults()
    {
        var state = State();
        state.Rflags |= 0x400;
        state.Gpr[1] = 10;
        state.Gpr[6] = Data + 100;
        state.Gpr[7] = Edge + (2 << 20) + 12;

        Assert.False(Run(a => a.rep.movsd(), ref state));

        Assert.Equal((6UL, Data + 84, Edge + (2 << 20) - 4), (state.Gpr[1], state.Gpr[6], state.Gpr[7]));
    }

    [Fact]
    public void Repeated_compare_keeps_the_flags_of_the_last_element_compared()
    {
        var state = State();
        state.Gpr[1] = 100;
        state.Gpr[6] = Data;
        state.Gpr[7] = Edge - 3;
        new Span<byte>(_soft.Memory + Data, 100).Clear();
        new Span<byte>(_soft.Memory + Edge - 3, 3).Clear();

        Assert.False(Run(a => a.repe.cmpsb(), ref state));

        Assert.Equal((97UL, Data + 3, Edge), (state.Gpr[1], state.Gpr[6], state.Gpr[7]));
        Assert.Equal(0x44UL, state.Rflags & 0x8d5);
    }

    [Fact]
    public void Repeated_scan_stops_behind_the_match()
    {
        var state = State();
        state.Gpr[0] = 7;
        state.Gpr[1] = 9000;
        state.Gpr[7] = Data;
        new Span<byte>(_soft.Memory + Data, 9000).Clear();
        _soft.Memory[Data + 5000] = 7;

        Assert.True(Run(a => a.repne.scasb(), ref state));

        Assert.Equal((9000UL - 5001, Data + 5001), (state.Gpr[1], state.Gpr[7]));
        Assert.Equal(0x40UL, state.Rflags & 0x40);
    }

    public static TheoryData<string> FaultingInstructions =>
        ["push", "push memory", "pop memory", "enter", "leave", "add", "adc", "lock add", "inc", "shl", "xadd", "xchg", "cmpxchg",
            "cmpxchg16b", "bts", "cmov", "set", "mul", "pop"];

    [Theory]
    [MemberData(nameof(FaultingInstructions))]
    public void A_fault_changes_nothing(string which)
    {
        var state = State();
        state.Rflags = 0x8d5;
        state.Gpr[4] = Data;
        state.Gpr[3] = Edge;
        switch (which)
        {
            case "push" or "enter": state.Gpr[4] = Edge + 4; break;
            case "leave": state.Gpr[5] = Edge; break;
            case "pop": state.Gpr[4] = Edge; break;
            default: break;
        }

        var before = state;
        Assert.False(Run(a => Write(a, which), ref state));

        Assert.Equal(ExceptionVector.PageFault, _soft.Exception);
        Assert.Equal(SoftProcessor.CodeAddress, _soft.Rip);
        Assert.Equal(before.ToString(), state.ToString());
    }

    [Fact]
    public void Pop_to_memory_addresses_by_the_incremented_stack_pointer()
    {
        var state = State();
        state.Gpr[4] = Data;
        *(ulong*)(_soft.Memory + Data) = 0x1122_3344_5566_7788;

        Assert.True(Run(a => a.pop(__qword_ptr[rsp + 8]), ref state));

        Assert.Equal(Data + 8, state.Gpr[4]);
        Assert.Equal(0x1122_3344_5566_7788UL, *(ulong*)(_soft.Memory + Data + 16));
    }

    [Fact]
    public void Push_and_pop_of_the_stack_pointer_use_its_old_and_new_value()
    {
        var state = State();
        state.Gpr[4] = Data + 64;
        Assert.True(Run(a => a.push(rsp), ref state));
        Assert.Equal(Data + 64, *(ulong*)(_soft.Memory + Data + 56));
        Assert.True(Run(a => a.pop(rsp), ref state));
        Assert.Equal(Data + 64, state.Gpr[4]);
    }

    [Fact]
    public void Compare_exchange_16_refuses_a_misaligned_operand()
    {
        var state = State();
        state.Gpr[3] = Data + 8;
        Assert.False(Run(a => a.cmpxchg16b(__[rbx]), ref state));
        Assert.Equal(ExceptionVector.GeneralProtection, _soft.Exception);
    }

    [Fact]
    public void Undefined_instructions_are_refused()
    {
        var state = State();
        Assert.False(Run(a => a.ud2(), ref state));
        Assert.Equal(ExceptionVector.InvalidOpcode, _soft.Exception);
        Assert.False(Run(a => a.db(0xf0, 0x01, 0xd8), ref state));
        Assert.Equal(ExceptionVector.InvalidOpcode, _soft.Exception);
    }

    private static ProcessorState State()
    {
        ProcessorState state = default;
        for (int i = 0; i < 16; i++)
        {
            state.Gpr[i] = 0x0101_0101_0101_0101UL * (ulong)i;
        }

        state.Rflags = 0;
        return state;
    }

    private static void Write(Assembler a, string which)
    {
        switch (which)
        {
            case "push": a.push(rax); break;
            case "push memory": a.push(__qword_ptr[rbx]); break;
            case "pop memory": a.pop(__qword_ptr[rbx]); break;
            case "pop": a.pop(rcx); break;
            case "enter": a.enter(16, 0); break;
            case "leave": a.leave(); break;
            case "add": a.add(__[rbx], ecx); break;
            case "adc": a.adc(rcx, __[rbx]); break;
            case "lock add": a.@lock.add(__[rbx], rcx); break;
            case "inc": a.inc(__word_ptr[rbx]); break;
            case "shl": a.shl(__dword_ptr[rbx], 3); break;
            case "xadd": a.xadd(__[rbx], rcx); break;
            case "xchg": a.xchg(__[rbx], rcx); break;
            case "cmpxchg": a.@lock.cmpxchg(__[rbx], ecx); break;
            case "cmpxchg16b": a.cmpxchg16b(__[rbx]); break;
            case "bts": a.bts(__dword_ptr[rbx], eax); break;
            case "cmov": a.cmovne(ecx, __dword_ptr[rbx]); break;
            case "set": a.sete(__byte_ptr[rbx]); break;
            default: a.mul(__qword_ptr[rbx]); break;
        }
    }

    private bool Run(Action<Assembler> write, ref ProcessorState state)
    {
        var assembler = new Assembler(64);
        write(assembler);
        using var stream = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(stream), SoftProcessor.CodeAddress);
        return _soft.Run(stream.ToArray(), ref state);
    }
}
