using System.Runtime.InteropServices;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Soft;
using WebVm.Vmm.Cpu.Soft.Paravirtualization;
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
    public void TheCounterRunsAtTheFrequencyOfTheStateThatItWasGiven(uint kilohertz)
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
        Assert.InRange(TimeStampCounter.ClockAt(vcpu.Context, atStart + (3_000UL * kilohertz)), start + 2_999_999_990, start + 3_000_000_010);

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
