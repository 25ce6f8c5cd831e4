using Iced.Intel;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.State;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Vmm.Tests.Cpu.Soft;

/// <summary>Random bytes as code, in every mode: whatever they do, the processor stops cleanly and its host lives.</summary>
public sealed unsafe class HostileCodeTests
{
    [Theory]
    [InlineData(64)]
    [InlineData(32)]
    [InlineData(16)]
    public void Random_bytes_never_harm_the_host(int bitness) => Run(bitness, seeds: 60, milliseconds: 15);

    [Theory(Explicit = true)]
    [InlineData(64)]
    [InlineData(32)]
    [InlineData(16)]
    public void Random_bytes_never_harm_the_host_long(int bitness) => Run(bitness, seeds: 3000, milliseconds: 40);

    /// <summary>A state that no processor could be in, as a damaged file may hold it.</summary>
    [Fact]
    public void Random_states_never_harm_the_host()
    {
        for (int seed = 0; seed < 150; seed++)
        {
            using var machine = new LongModeProcessor();
            var random = new System.Random(seed);
            Fill(machine, random);
            CpuState* state = (CpuState*)System.Runtime.InteropServices.NativeMemory.AlignedAlloc((nuint)sizeof(CpuState), 64);
            machine.Vcpu.Save(state);
            var bytes = new Span<byte>(state, sizeof(CpuState));
            if (seed % 3 == 0)
            {
                random.NextBytes(bytes);
                state->Activity = VcpuActivity.Active;
            }
            else
            {
                for (int i = 0; i < 20; i++)
                {
                    bytes[random.Next(CpuState.XsaveOffset)] ^= (byte)(1 << random.Next(8));
                }
            }

            machine.Vcpu.Load(state);
            machine.Vcpu.Save(state);
            System.Runtime.InteropServices.NativeMemory.AlignedFree(state);
            using var watchdog = new Timer(_ => machine.Vcpu.Kick(), null, 10, Timeout.Infinite);
            var exit = machine.Vcpu.RunUntilHalt();
            Assert.True(exit != VcpuExit.HostFailure, $"seed {seed}: {machine.Vcpu.Failure}");
        }
    }

    private static void Run(int bitness, int seeds, int milliseconds)
    {
        int first = bitness * 1_000_000;
        ulong instructions = 0;
        int shutdowns = 0;
        for (int seed = first; seed < first + seeds; seed++)
        {
            using var machine = new LongModeProcessor();
            var random = new System.Random(seed);
            Fill(machine, random);
            switch (bitness)
            {
                case 64: SetUpLongHandlers(machine); break;
                case 32: SetUpProtected(machine, random); break;
                default: SetUpReal(machine); break;
            }

            machine.Vcpu.StateReplaced();
            using var watchdog = new Timer(_ => machine.Vcpu.Kick(), null, milliseconds, Timeout.Infinite);
            var exit = machine.Vcpu.RunUntilHalt();
            Assert.True(exit != VcpuExit.HostFailure, $"seed {seed}, {bitness} bits: {machine.Vcpu.Failure}");
            instructions += machine.Cpu->Instructions;
            shutdowns += exit == VcpuExit.Shutdown ? 1 : 0;
        }

        // The walks must lead somewhere, or nothing is tested.
        Assert.True(instructions > (ulong)seeds * 500, $"only {instructions} instructions, {shutdowns} shutdowns of {seeds}");
        TestContext.Current.SendDiagnosticMessage($"{bitness} bits: {instructions} instructions, {shutdowns} shutdowns of {seeds}");
    }

    private static void Fill(LongModeProcessor machine, System.Random random)
    {
        byte[] code = new byte[0x10_0000];
        random.NextBytes(code);

        // HLT ends the run, so it is rare; prefixes of interesting groups are common.
        for (int i = 0; i < code.Length; i++)
        {
            if (code[i] == 0xf4)
            {
                code[i] = 0x0f;
            }

            if (random.Next(12) == 0)
            {
                code[i] = (byte)new[] { 0x0f, 0xf0, 0xf2, 0xf3, 0x66, 0x67, 0x48, 0xc4, 0xc5, 0x8b, 0x89, 0xff }[random.Next(12)];
            }
        }

        machine.Place(code);
        machine.Place(code.AsSpan(0, 0x8000), 0x2_8000);
        for (int i = 0; i < 16; i++)
        {
            machine.Gpr(i) = random.Next(3) switch
            {
                0 => LongModeProcessor.Data + (ulong)random.Next(0x1_0000),
                1 => (ulong)random.Next(),
                _ => LongModeProcessor.Code + (ulong)random.Next(0x1_0000),
            };
        }

        machine.Gpr(4) = LongModeProcessor.Stack;
        machine.Cpu->State.Dr[6] = 0xffff_0ff0;
        machine.Cpu->State.Dr[7] = random.Next(4) == 0 ? 0x400UL | (ulong)(uint)random.Next() : 0x400;
        for (int i = 0; i < 4; i++)
        {
            machine.Cpu->State.Dr[i] = machine.Gpr(random.Next(16));
        }
    }

    private static void SetUpLongHandlers(LongModeProcessor machine)
    {
        // Every exception skips a byte or a few and goes on.
        const ulong Plain = 0x3000;
        const ulong WithError = 0x3100;
        machine.Place(
            a =>
            {
                a.add(__qword_ptr[rsp], 3);
                a.and(__qword_ptr[rsp], 0x2f_ffff);
                a.or(__qword_ptr[rsp], 0x20_0000);
                a.mov(__qword_ptr[rsp + 8], 8);
                a.and(__qword_ptr[rsp + 16], 0xcd5);
                a.mov(__qword_ptr[rsp + 24], 0x80_0000);
                a.mov(__qword_ptr[rsp + 32], 0x10);
                a.iretq();
            },
            Plain);
        machine.Place(
            a =>
            {
                a.add(rsp, 8);
                a.mov(rax, Plain);
                a.jmp(rax);
            },
            WithError);
        for (uint vector = 0; vector < 256; vector++)
        {
            ulong handler = vector is 8 or (>= 10 and <= 14) or 17 ? WithError : Plain;
            machine.Write(
                0x4000 + (vector * 16), (handler & 0xffff) | (8UL << 16) | (0x8eUL << 40) | (1UL << 32) | ((handler >> 16) << 48));
            machine.Write(0x4008 + (vector * 16), 0UL);
        }

        // A TSS whose first interrupt stack is away from everything else.
        machine.Write(0x6024, 0x90_0000UL);
        ref var state = ref machine.Cpu->State;
        state.Idtr = new DescriptorTableRegister { Base = 0x4000, Limit = 0xfff };
        state.Segments[SegmentIndex.Tr] = new SegmentRegister { Selector = 0x40, Base = 0x6000, Limit = 0x67,
            Attributes = (SegmentAttributes)0x8b };
    }

    private static void SetUpProtected(LongModeProcessor machine, System.Random random)
    {
        ref var state = ref machine.Cpu->State;
        state.Efer = 0;
        state.Cr0 = 0x11;
        state.Cr4 = 0x600;
        const uint Handler = 0x3000;
        machine.Place([0x83, 0x04, 0x24, 0x03, 0xcf], Handler);
        for (uint vector = 0; vector < 256; vector++)
        {
            machine.Write(0x4000 + (vector * 8), Handler | (8UL << 16) | (0x8eUL << 40));
        }

        machine.Write(LongModeProcessor.Gdt + 8, 0x00cf_9b00_0000_ffffUL);
        machine.Write(LongModeProcessor.Gdt + 0x30, 0x0000_8900_6000_0067UL);
        state.Idtr = new DescriptorTableRegister { Base = 0x4000, Limit = 0x7ff };
        state.Segments[SegmentIndex.Cs].Attributes = (SegmentAttributes)0xc09b;
        state.Segments[SegmentIndex.Tr] = new SegmentRegister { Selector = 0x30, Base = 0x6000, Limit = 0x67,
            Attributes = (SegmentAttributes)0x8b };
        if (random.Next(3) == 0)
        {
            // A small stack segment and an expand-down data segment.
            state.Segments[SegmentIndex.Ss].Limit = 0x8f_ffff;
            state.Segments[SegmentIndex.Ds] = new SegmentRegister { Selector = 0x10, Limit = 0xfff,
                Attributes = (SegmentAttributes)0x4097 };
        }
    }

    private static void SetUpReal(LongModeProcessor machine)
    {
        ref var state = ref machine.Cpu->State;
        state.Efer = 0;
        state.Cr0 = 0x10;
        state.Cr4 = 0;
        machine.Place([0x83, 0xc4, 0x00, 0xcf], 0x500);
        for (uint vector = 0; vector < 256; vector++)
        {
            machine.Write(vector * 4, 0x0000_0500u);
        }

        for (var segment = SegmentIndex.Es; segment <= SegmentIndex.Gs; segment++)
        {
            state.Segments[segment] = new SegmentRegister { Selector = 0x3000, Base = 0x3_0000, Limit = 0xffff,
                Attributes = (SegmentAttributes)0x93 };
        }

        state.Segments[SegmentIndex.Cs] = new SegmentRegister { Selector = 0x2800, Base = 0x2_8000, Limit = 0xffff,
            Attributes = (SegmentAttributes)0x9b };
        state.Idtr = new DescriptorTableRegister { Base = 0, Limit = 0x3ff };
        state.Rip = 0;
    }
}
