using System.Diagnostics;
using Iced.Intel;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Time;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Vmm.Tests.Cpu.Soft;

/// <summary>An interrupt's whole way through the soft engine: local APIC, IDT, handler, end of interrupt, return.</summary>
public sealed unsafe class InterruptPathTests(ITestOutputHelper output) : IDisposable
{
    private const byte Vector = 0x40;
    private const ulong Idt = 0x42_0000;
    private const ulong Handler = 0x43_0000;
    private const ulong EndFlag = 0x44_0000;
    private const uint EndOfInterrupt = 0x80b;
    private const uint SelfIpi = 0x83f;

    private readonly LongModeProcessor _processor = new();
    private readonly VirtualClock _clock = new();
    private readonly ApicBus _bus = new();
    private TimerService? _timers;

    /// <summary>How the handler ends its interrupt.</summary>
    public enum End
    {
        Register,
        Paravirtual,
    }

    public void Dispose()
    {
        _processor.Dispose();
        _timers?.Dispose();
    }

    [Theory]
    [InlineData(End.Register)]
    [InlineData(End.Paravirtual)]
    public void Every_interrupt_is_taken_and_ended_and_nothing_is_allocated(End end)
    {
        const uint Count = 3000;
        Prepare(end);
        SendToSelf(Count);
        Assert.Equal(VcpuExit.Kicked, _processor.RunToHalt());
        Assert.Equal(Count, _processor.Gpr(9));
        Assert.Equal(0UL, _processor.Vcpu.Apic!.ReadMmio(0xa0, 4));
        Assert.Equal(end == End.Paravirtual ? Count : 0, _processor.Vcpu.Apic.ParavirtualEnds);

        long rounds = Allocations.UntilNone(() =>
        {
            Restart();
            _processor.Vcpu.RunUntilHalt();
        });
        Assert.Equal((ulong)(1 + rounds) * Count, _processor.Gpr(9));
    }

    [Theory(Explicit = true)]
    [InlineData(End.Register)]
    [InlineData(End.Paravirtual)]
    public void Cost_of_an_interrupt(End end)
    {
        Prepare(end);
        SendToSelf(20_000);
        _processor.RunToHalt();
        const uint Count = 2_000_000;
        SendToSelf(Count);
        ulong instructions = _processor.Cpu->Instructions;
        long start = Stopwatch.GetTimestamp();
        _processor.Vcpu.RunUntilHalt();
        double nanoseconds = Stopwatch.GetElapsedTime(start).TotalNanoseconds;
        output.WriteLine(
            $"{end}: {nanoseconds / Count:f0} ns per interrupt to self, of {(_processor.Cpu->Instructions - instructions) / (double)Count:f1} instructions");
        Assert.Equal(20_000 + Count, _processor.Gpr(9));
    }

    [Fact(Explicit = true)]
    public void Latency_of_an_interrupt_to_a_halted_processor()
    {
        Prepare(End.Register);
        _processor.Place(code =>
        {
            var loop = code.CreateLabel();
            code.Label(ref loop);
            code.sti();
            code.hlt();
            code.jmp(loop);
        });
        var vcpu = _processor.Vcpu;
        var thread = new Thread(() => vcpu.Run());
        thread.Start();
        const int Rounds = 20_000;
        var latencies = new double[Rounds];
        for (int round = 0; round < Rounds; round++)
        {
            Thread.Sleep(round % 100 == 0 ? 1 : 0);
            ulong handled = Volatile.Read(ref _processor.Gpr(9));
            long start = Stopwatch.GetTimestamp();
            _bus.Send(new ApicMessage(0, false, ApicDeliveryMode.Fixed, Vector, false));
            while (Volatile.Read(ref _processor.Gpr(9)) == handled && Stopwatch.GetElapsedTime(start).TotalSeconds < 5)
            {
                Thread.SpinWait(1);
            }

            latencies[round] = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
        }

        vcpu.Kick();
        thread.Join();
        Array.Sort(latencies);
        output.WriteLine(
            $"wake-up by interrupt: median {latencies[Rounds / 2]:f1} us, 99 % {latencies[Rounds * 99 / 100]:f1} us, worst {latencies[^1]:f0} us");
        Assert.True(latencies[^1] < 5_000_000);
    }

    private void Prepare(End end)
    {
        _timers = new TimerService(_clock);
        _clock.Start();
        var vcpu = _processor.Vcpu;
        vcpu.Clock = _clock;
        vcpu.Apic = new LocalApic(_bus, 0, true, _timers, vcpu);
        Assert.True(vcpu.Apic.TryWriteMsr(LocalApic.MsrApicBase, vcpu.Apic.Base | LocalApic.BaseX2ApicEnable));
        Assert.True(vcpu.Apic.TryWriteMsr(0x80f, 0x1ff));
        if (end == End.Paravirtual)
        {
            _processor.Cpu->State.Msr.KvmPvEoi = EndFlag | 1;
        }

        ref var state = ref _processor.Cpu->State;
        state.Idtr.Base = Idt;
        state.Idtr.Limit = 0xfff;
        _processor.Write(Idt + (Vector * 16), (Handler & 0xffff) | (8 << 16) | (0x8eUL << 40) | (Handler >> 16 << 48));
        _processor.Write(Idt + (Vector * 16) + 8, 0UL);
        _processor.Place(
            code =>
            {
                var done = code.CreateLabel();
                code.inc(r9);
                code.push(rax);
                code.push(rcx);
                code.push(rdx);
                if (end == End.Paravirtual)
                {
                    code.btr(__dword_ptr[EndFlag], 0);
                    code.jc(done);
                }

                code.mov(ecx, EndOfInterrupt);
                code.xor(eax, eax);
                code.xor(edx, edx);
                code.wrmsr();
                code.Label(ref done);
                code.pop(rdx);
                code.pop(rcx);
                code.pop(rax);
                code.iretq();
            },
            Handler);
        state.Gpr[9] = 0;
    }

    private void SendToSelf(uint count)
    {
        _processor.Place(code =>
        {
            var loop = code.CreateLabel();
            code.mov(r8d, count);
            code.mov(ecx, SelfIpi);
            code.mov(eax, Vector);
            code.xor(edx, edx);
            code.sti();
            code.Label(ref loop);
            code.wrmsr();
            code.dec(r8d);
            code.jnz(loop);
            code.cli();
            code.hlt();
        });
        Restart();
    }

    private void Restart()
    {
        ref var state = ref _processor.Cpu->State;
        state.Rip = LongModeProcessor.Code;
        state.Activity = WebVm.Vmm.Cpu.State.VcpuActivity.Active;
        _processor.Vcpu.StateReplaced();
    }
}
