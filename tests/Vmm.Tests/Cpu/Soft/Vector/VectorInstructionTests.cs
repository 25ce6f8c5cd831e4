using Iced.Intel;
using WebVm.Vmm.Cpu.Soft.Semantics;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Tests.Cpu.Differential;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Vmm.Tests.Cpu.Soft.Vector;

/// <summary>Vector and x87 behaviour of the soft engine that needs no other processor to compare with.</summary>
public sealed class VectorInstructionTests : IDisposable
{
    private const int InvalidOpcode = 6;
    private const int GeneralProtection = 13;
    private const int PageFault = 14;
    private const int MathFault = 16;
    private const int SimdFault = 19;
    private const int X87StatusOffset = 2;
    private const int MxcsrOffset = 24;
    private const int XmmOffset = 160;

    private readonly SoftRing3Machine _machine = new();

    [Fact]
    public void Packed_addition_computes_every_element()
    {
        var state = Start();
        Put(state, XmmOffset, 1.5f, -2f, 3f, 1e30f);
        Put(state, XmmOffset + 16, 0.25f, 2f, -5f, 1e30f);

        Run(state, a => a.addps(xmm0, xmm1));

        Assert.Equal(InvalidOpcode, state.Vector);
        Assert.Equal([1.75f, 0f, -2f, 2e30f], Floats(state, XmmOffset));
    }

    [Fact]
    public void A_misaligned_legacy_operand_is_a_protection_fault()
    {
        var state = Start();
        state.Gpr[0] = Ring3Layout.Data + 8;

        Run(state, a => a.addps(xmm0, __xmmword_ptr[rax]));

        Assert.Equal((GeneralProtection, 0UL), (state.Vector, state.ErrorCode));
    }

    [Fact]
    public void An_unmasked_division_by_zero_raises_SIMD_fault_and_keeps_the_destination()
    {
        var state = Start();
        BitConverter.TryWriteBytes(state.Xsave.AsSpan(MxcsrOffset), 0x1f80u & ~(1u << 9));
        Put(state, XmmOffset, 1f, 1f, 1f, 1f);
        Put(state, XmmOffset + 16, 0f, 1f, 1f, 1f);

        Run(state, a => a.divps(xmm0, xmm1));

        Assert.Equal(SimdFault, state.Vector);
        Assert.Equal([1f, 1f, 1f, 1f], Floats(state, XmmOffset));
        Assert.Equal(4u, BitConverter.ToUInt32(state.Xsave, MxcsrOffset) & 0x3f);
    }

    /// <summary>2^-19 is a denormal half, exactly: only an unmasked underflow tells of it (SDM Vol. 1 §4.9.1.5).</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_narrowed_number_that_is_tiny_raises_an_unmasked_underflow(bool toMemory)
    {
        Assert.SkipUnless(System.Runtime.Intrinsics.X86.Avx2.IsSupported, "The host has no F16C.");
        var state = Start();
        state.Gpr[0] = Ring3Layout.Data;
        BitConverter.TryWriteBytes(state.Xsave.AsSpan(MxcsrOffset), 0x1f80u & ~(1u << 11));
        Put(state, XmmOffset, 1f, 1f, 1f, 1f);
        Put(state, XmmOffset + 16, 1f, 1f, 1f, float.ScaleB(1, -19));

        Run(state, a =>
        {
            if (toMemory)
            {
                a.vcvtps2ph(__qword_ptr[rax], xmm1, 0);
            }
            else
            {
                a.vcvtps2ph(xmm0, xmm1, 0);
            }
        });

        Assert.Equal(SimdFault, state.Vector);
        Assert.Equal([1f, 1f, 1f, 1f], Floats(state, XmmOffset));
        Assert.Equal(0x10u, BitConverter.ToUInt32(state.Xsave, MxcsrOffset) & 0x3f);
    }

    [Fact]
    public void An_unmasked_x87_exception_waits_for_the_next_waiting_instruction()
    {
        var state = Start();
        state.Xsave[0] = 0x7b; // zero divide unmasked

        Run(state, a =>
        {
            a.fld1();
            a.fldz();
            a.fdivp(st1, st0);
            a.fnstsw(ax);
            a.fldpi();
        });

        Assert.Equal(MathFault, state.Vector);
        Assert.Equal(Ring3Layout.Code + 8, state.Rip);
        Assert.NotEqual(0UL, state.Gpr[0] & 0x80);
        Assert.NotEqual(0, state.Xsave[X87StatusOffset] & 4);
    }

    [Fact]
    public void Without_numeric_error_reporting_a_pending_exception_is_ignored()
    {
        _machine.ChangeControls(cr0 => cr0 & ~(1UL << 5));
        var state = Start();
        state.Xsave[0] = 0x7b;

        Run(state, a =>
        {
            a.fld1();
            a.fldz();
            a.fdivp(st1, st0);
            a.fldpi();
            a.fnstsw(ax);
        });

        Assert.Equal(InvalidOpcode, state.Vector);
        Assert.NotEqual(0UL, state.Gpr[0] & 0x84);
        Assert.Equal(0x7b, state.Xsave[0]);
    }

    [Theory]
    [InlineData(1UL << 3, 7)]
    [InlineData(1UL << 2, 6)]
    public void Control_bits_forbid_vector_code(ulong bit, int vector)
    {
        _machine.ChangeControls(cr0 => cr0 | bit);
        var state = Start();

        Run(state, a => a.addps(xmm0, xmm1));

        Assert.Equal((vector, Ring3Layout.Code), (state.Vector, state.Rip));
    }

    [Fact]
    public void A_store_that_faults_leaves_the_x87_stack_alone()
    {
        var state = Start();
        state.Gpr[0] = Ring3Layout.ReadOnlyPage;

        Run(state, a =>
        {
            a.fld1();
            a.fstp(__qword_ptr[rax]);
        });

        Assert.Equal((PageFault, 7UL, Ring3Layout.ReadOnlyPage), (state.Vector, state.ErrorCode, state.Cr2));
        Assert.Equal(7 << 11, BitConverter.ToUInt16(state.Xsave, X87StatusOffset) & (7 << 11));
        Assert.Equal(0x80, state.Xsave[4]);
    }

    [Fact]
    public void Saved_extended_state_comes_back()
    {
        var state = Start();
        Put(state, XmmOffset + (3 * 16), 1f, 2f, 3f, 4f);
        state.Gpr[0] = 7;
        state.Gpr[7] = Ring3Layout.Data;

        Run(state, a =>
        {
            a.fldpi();
            a.xsave(__[rdi]);
            a.fninit();
            a.xorps(xmm3, xmm3);
            a.xrstor(__[rdi]);
        });

        Assert.Equal(InvalidOpcode, state.Vector);
        Assert.Equal([1f, 2f, 3f, 4f], Floats(state, XmmOffset + (3 * 16)));
        Assert.Equal(0x80, state.Xsave[4]);
        Assert.Equal(0xc90fdaa22168c235, BitConverter.ToUInt64(state.Xsave, 32));
    }

    [Fact]
    public void Loading_reserved_MXCSR_bits_is_a_protection_fault()
    {
        var state = Start();
        state.Gpr[0] = Ring3Layout.Data;
        _machine.Memory.TryWrite(new GuestPhysicalAddress(Ring3Layout.Data), 0x0001_1f80u);

        Run(state, a => a.ldmxcsr(__dword_ptr[rax]));

        Assert.Equal(GeneralProtection, state.Vector);
    }

    [Fact]
    public void AVX_is_found_where_this_hosts_programs_can_use_it() =>
        Assert.Equal(System.Runtime.Intrinsics.X86.Avx.IsSupported, VectorFeatures.HasAvx);

    [Fact]
    public void AVX_state_is_offered_only_together_with_SSE_state()
    {
        Assert.False(VectorFeatures.IsValidXcr0(0, 7));
        Assert.False(VectorFeatures.IsValidXcr0(5, 7));
        Assert.True(VectorFeatures.IsValidXcr0(3, 7));
        Assert.False(VectorFeatures.IsValidXcr0(3 | (1 << 9), 7));
    }

    public void Dispose() => _machine.Dispose();

    private static Ring3State Start()
    {
        var state = new Ring3State { Rip = Ring3Layout.Code };
        state.Gpr[4] = Ring3Layout.Stack + 0x1000;
        BitConverter.TryWriteBytes(state.Xsave, (ushort)0x37f);
        BitConverter.TryWriteBytes(state.Xsave.AsSpan(MxcsrOffset), 0x1f80u);
        return state;
    }

    private static void Put(Ring3State state, int offset, params float[] values) =>
        Buffer.BlockCopy(values, 0, state.Xsave, offset, values.Length * 4);

    private static float[] Floats(Ring3State state, int offset)
    {
        float[] values = new float[4];
        Buffer.BlockCopy(state.Xsave, offset, values, 0, 16);
        return values;
    }

    /// <summary>Runs the code, which an UD2 ends.</summary>
    private void Run(Ring3State state, Action<Assembler> write)
    {
        var assembler = new Assembler(64);
        write(assembler);
        assembler.ud2();
        using var code = new MemoryStream();
        assembler.Assemble(new StreamCodeWriter(code), Ring3Layout.Code);
        _machine.Memory.TryWrite(new GuestPhysicalAddress(Ring3Layout.Code), code.ToArray());
        _machine.Run(state);
    }
}
