using System.Runtime.InteropServices;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Soft;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Semantics.Paravirtualization;
using WebVm.Vmm.Cpu.Soft.Semantics.SystemInstructions;
using WebVm.Vmm.Cpu.Soft.Vcpu;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Time;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Soft;

/// <summary>The soft engine's time stamp counter at frequencies other than a round one.</summary>
public sealed unsafe class TimeStampCounterTests
{
    [Theory]
    [InlineData(1_000_000)]
    [InlineData(2_596_128)]
    [InlineData(3_999_999)]
    [InlineData(799_997)]
    public void The_counter_runs_at_the_frequency_of_the_state_that_it_was_given(uint kilohertz)
    {
        const long start = 5_000_000_000;
        const ulong atStart = 1UL << 40;
        using var memory = new GuestMemory();
        var clock = new VirtualClock();
        clock.Set(start);
        using var timers = new TimerService(clock);
        using var engine = new SoftEngine(memory, new RefusingBus(), timers);
        var vcpu = (SoftVcpu)engine.CreateVcpu(0, CpuPlace.Alone);
        var state = (CpuState*)NativeMemory.AlignedAlloc((nuint)sizeof(CpuState), 64);
        vcpu.Save(state);
        state->Msr.Tsc = atStart;
        state->Msr.TscKilohertz = kilohertz;
        vcpu.Load(state);
        clock.Set(start + 2_000_000_000);
        vcpu.Save(state);
        Assert.InRange(state->Msr.Tsc, atStart + (2_000UL * kilohertz) - 2, atStart + (2_000UL * kilohertz) + 2);
        Assert.Equal(kilohertz, state->Msr.TscKilohertz);
        Assert.InRange(
            TimeStampCounter.ClockAt(vcpu.Context, atStart + (3_000UL * kilohertz)), start + 2_999_999_990, start + 3_000_000_010);

        for (ulong target = atStart + 1; target < atStart + 100; target++)
        {
            // A deadline never fires before the counter has reached it.
            Assert.True(TimeStampCounter.At(vcpu.Context, TimeStampCounter.ClockAt(vcpu.Context, target)) >= target);
        }

        var (numerator, denominator) = TimeStampCounter.CrystalRatio(vcpu.Context);
        Assert.InRange(1e6 * numerator / denominator, kilohertz * (1 - 5e-6), kilohertz * (1 + 5e-6));
        Assert.True(1_000_000UL * numerator <= uint.MaxValue);
        // As a guest on the paravirtual clock computes nanoseconds.
        var (multiplier, shift) = KvmClockPages.Scale(kilohertz);
        UInt128 ticks = 10_000UL * kilohertz;
        Assert.InRange((ulong)((shift >= 0 ? ticks << shift : ticks >> -shift) * multiplier >> 32), 9_999_999_990u, 10_000_000_010u);
        NativeMemory.AlignedFree(state);
    }

    [Fact]
    public void What_is_written_to_the_adjustment_reads_back_and_moves_the_counter_by_as_much()
    {
        using var memory = new GuestMemory();
        var clock = new VirtualClock();
        using var timers = new TimerService(clock);
        using var engine = new SoftEngine(memory, new RefusingBus(), timers);
        var cpu = ((SoftVcpu)engine.CreateVcpu(0, CpuPlace.Alone)).Context;
        clock.Start();
        ulong random = 1;
        for (int i = 0; i < 1000; i++)
        {
            random = (random * 6364136223846793005) + 1442695040888963407;
            ulong offset = cpu->State.Msr.TscOffset, adjustment = cpu->State.Msr.TscAdjust;
            Assert.True(ModelSpecificRegisterAccess.TryWrite(cpu, Msr.TscAdjust, random));
            Assert.True(ModelSpecificRegisterAccess.TryRead(cpu, Msr.TscAdjust, out ulong read));
            Assert.Equal(random, read);
            Assert.Equal(random - adjustment, cpu->State.Msr.TscOffset - offset);

            // And the other way round: what is written to the counter moves both by the same.
            Assert.True(ModelSpecificRegisterAccess.TryWrite(cpu, Msr.TimeStampCounter, random));
            Assert.Equal(cpu->State.Msr.TscAdjust - random, cpu->State.Msr.TscOffset - offset - (random - adjustment));
        }
    }

    private sealed class RefusingBus : IGuestBus
    {
        public uint ReadPort(ushort port, int size) => 0;

        public void WritePort(ushort port, int size, uint value)
        {
        }

        public ulong ReadMmio(GuestPhysicalAddress address, int size) => 0;

        public void WriteMmio(GuestPhysicalAddress address, int size, ulong value)
        {
        }
    }
}
