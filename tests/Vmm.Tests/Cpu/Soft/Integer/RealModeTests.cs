using Iced.Intel;
using WebVm.Vmm.Cpu.Soft.Context;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Vmm.Tests.Cpu.Soft.Integer;

/// <summary>16-bit addresses and stacks wrap at 64 KiB.</summary>
public sealed unsafe class RealModeTests : IDisposable
{
    private readonly SoftProcessor _soft = new(16);

    public void Dispose() => _soft.Dispose();

    [Fact]
    public void String_pointers_wrap_and_keep_their_upper_halves()
    {
        ProcessorState state = default;
        state.Gpr[1] = 0x5555_0008;
        state.Gpr[6] = 0x7777_fffc;
        state.Gpr[7] = 0x6666_8000;
        *(uint*)(_soft.Memory + 0xfffc) = 0x4433_2211;
        *(uint*)_soft.Memory = 0x8877_6655;

        Assert.True(Run(a => a.rep.movsb(), ref state));

        Assert.Equal((0x5555_0000UL, 0x7777_0004UL, 0x6666_8008UL), (state.Gpr[1], state.Gpr[6], state.Gpr[7]));
        Assert.Equal(0x8877_6655_4433_2211UL, *(ulong*)(_soft.Memory + 0x8000));
    }

    [Fact]
    public void Effective_addresses_wrap()
    {
        ProcessorState state = default;
        state.Gpr[3] = 0xfff0;
        state.Gpr[6] = 0x0020;
        _soft.Memory[0x10] = 0x99;

        Assert.True(Run(a => a.mov(al, __[bx + si]), ref state));
        Assert.Equal(0x99UL, state.Gpr[0]);

        Assert.True(Run(a => a.lea(ax, __[bx + si + 0x7ff0]), ref state));
        Assert.Equal(0x8000UL, state.Gpr[0]);
    }

    [Fact]
    public void Bit_offsets_wrap_with_the_address()
    {
        ProcessorState state = default;
        state.Gpr[3] = 0x0002;
        state.Gpr[0] = unchecked((ushort)-32);
        *(ushort*)(_soft.Memory + 0xfffe) = 0x0001;

        Assert.True(Run(a => a.btr(__word_ptr[bx], ax), ref state));

        Assert.Equal(1UL, state.Rflags & 1);
        Assert.Equal(0, *(ushort*)(_soft.Memory + 0xfffe));
    }

    [Fact]
    public void Push_wraps_the_stack_pointer()
    {
        ProcessorState state = default;
        state.Gpr[0] = 0xabcd;
        state.Gpr[4] = 0x1234_0000;

        Assert.True(Run(a => a.push(ax), ref state));

        Assert.Equal(0x1234_fffeUL, state.Gpr[4]);
        Assert.Equal(0xabcd, *(ushort*)(_soft.Memory + 0xfffe));
    }

    [Fact]
    public void Access_across_the_segments_end_faults()
    {
        ProcessorState state = default;
        state.Gpr[3] = 0xffff;
        Assert.False(Run(a => a.mov(ax, __[bx]), ref state));
        Assert.Equal(ExceptionVector.GeneralProtection, _soft.Exception);
        state.Gpr[4] = 0x0001;
        Assert.False(Run(a => a.push(ax), ref state));
        Assert.Equal(ExceptionVector.StackFault, _soft.Exception);
        Assert.Equal(1UL, state.Gpr[4]);
    }

    [Theory]
    [InlineData(-5, true)]
    [InlineData(-4, false)]
    [InlineData(10, false)]
    [InlineData(11, true)]
    public void Bound_compares_signed(int index, bool raises)
    {
        ProcessorState state = default;
        state.Gpr[0] = (ushort)index;
        state.Gpr[3] = 0x8000;
        *(short*)(_soft.Memory + 0x8000) = -4;
        *(short*)(_soft.Memory + 0x8002) = 10;

        Assert.Equal(!raises, Run(a => a.bound(ax, __[bx]), ref state));
        Assert.True(!raises || _soft.Exception == ExceptionVector.BoundRange);
    }

    [Fact]
    public void Push_all_stores_the_stack_pointer_from_before()
    {
        ProcessorState state = default;
        for (int i = 0; i < 8; i++)
        {
            state.Gpr[i] = (ulong)(0x1110 + i);
        }

        state.Gpr[4] = 0x9000;
        Assert.True(Run(a => a.pusha(), ref state));
        Assert.Equal(0x8ff0UL, state.Gpr[4]);
        Assert.Equal(0x9000, *(ushort*)(_soft.Memory + 0x8ff6));
        Assert.Equal(0x1117, *(ushort*)(_soft.Memory + 0x8ff0));
        *(ushort*)(_soft.Memory + 0x8ff6) = 0;
        Assert.True(Run(a => a.popa(), ref state));
        Assert.Equal(0x9000UL, state.Gpr[4]);
        Assert.Equal(0x1110UL, state.Gpr[0]);
    }

    private bool Run(Action<Assembler> write, ref ProcessorState state)
    {
        var assembler = new Assembler(16);
        write(assembler);
        using var stream = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(stream), SoftProcessor.RealModeCodeAddress);
        return _soft.Run(stream.ToArray(), ref state);
    }
}
