using Iced.Intel;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Semantics.Paravirtualization;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Tests.Interrupts;
using Xunit;
using static Iced.Intel.AssemblerRegisters;

namespace WebVm.Vmm.Tests.Cpu.Soft;

public sealed unsafe class ParavirtualTests : IDisposable
{
    private const uint WallClock = 0x4b564d00;
    private const uint SystemTime = 0x4b564d01;
    private const uint StealTimeMsr = 0x4b564d03;
    private const uint PvEoi = 0x4b564d04;
    private const ulong Page = 0x41_0000;

    private readonly LongModeProcessor _processor = new();
    private readonly ManualTimers _timers = new();
    private readonly ApicBus _bus = new();
    private readonly ApicBench.Owner _otherOwner;
    private readonly LocalApic _other;

    public ParavirtualTests()
    {
        _timers.Clock.Set(5_000_000_000);
        _otherOwner = new ApicBench.Owner(_timers.Clock);
        _processor.Vcpu.Clock = _timers.Clock;
        _processor.Vcpu.Context->State.Msr.TscKilohertz = 1_000_000;
        TimeStampCounter.ApplyFrequency(_processor.Vcpu.Context);
        _processor.Vcpu.Apic = new LocalApic(_bus, 0, true, _timers, _processor.Vcpu);
        _other = new LocalApic(_bus, 3, false, _timers, _otherOwner);
        _other.WriteMmio(0xf0, 4, 0x1ff);
    }

    public void Dispose() => _processor.Dispose();

    [Fact]
    public void A_guest_whose_time_was_caught_up_is_told_that_it_was_stopped_until_it_has_read_so()
    {
        ulong flags = Page + 29;
        _processor.Vcpu.Context->State.Msr.KvmSystemTime = Page | 1;
        KvmRegisters.Resume(_processor.Vcpu.Context);
        Assert.Equal(1, Byte(flags));

        // Two days on, and a save or kick before the guest looks.
        _timers.Clock.Set(_timers.Clock.Now, DateTimeOffset.UtcNow - TimeSpan.FromDays(2));
        _timers.Clock.CatchUp();
        KvmRegisters.Resume(_processor.Vcpu.Context);
        KvmRegisters.Resume(_processor.Vcpu.Context);
        Assert.Equal(3, Byte(flags));
        Assert.True(_processor.Vcpu.Memory.TryWrite(new GuestPhysicalAddress(flags), (byte)1));
        KvmRegisters.Resume(_processor.Vcpu.Context);
        Assert.Equal(1, Byte(flags));
    }

    private byte Byte(ulong address) =>
        _processor.Vcpu.Memory.TryRead(new GuestPhysicalAddress(address), out byte value)
            ? value
            : throw new InvalidOperationException("nothing is there");

    [Fact]
    public void Cpuid_names_kvm_and_its_features()
    {
        Run(code =>
        {
            code.mov(eax, 0x4000_0000);
            code.cpuid();
            code.mov(r8d, ebx);
            code.mov(r9d, eax);
            code.mov(eax, 0x4000_0001);
            code.cpuid();
            code.hlt();
        });
        Assert.Equal(0x4b4d_564bUL, _processor.Gpr(8));
        Assert.Equal(0x4000_0001UL, _processor.Gpr(9));
        Assert.Equal(KvmLeaves.Features, (uint)_processor.Gpr(0));
    }

    [Fact]
    public void The_clock_page_turns_the_time_stamp_counter_into_vm_time()
    {
        _processor.Vcpu.Context->State.Msr.TscOffset = 1_000_000;
        Run(code =>
        {
            WriteMsr(code, SystemTime, Page | 1);
            WriteMsr(code, WallClock, Page + 0x100);
            code.hlt();
        });
        var page = _processor.Read<KvmClockPages.SystemTime>(Page);
        Assert.Equal(0u, page.Version & 1);
        Assert.NotEqual(0u, page.Version);
        Assert.Equal(5_000_000_000UL, page.Nanoseconds);
        Assert.Equal(5_001_000_000UL, page.TscTimestamp);
        Assert.Equal(1, page.Flags);

        // As the guest computes it, 7 seconds later.
        ulong delta = 12_001_000_000UL - page.TscTimestamp;
        Assert.Equal(12_000_000_000UL, page.Nanoseconds + (ulong)(((UInt128)delta << page.Shift) * page.Multiplier >> 32));

        var wall = _processor.Read<KvmClockPages.WallClock>(Page + 0x100);
        var boot = DateTimeOffset.FromUnixTimeSeconds(wall.Seconds);
        Assert.InRange(DateTimeOffset.UtcNow - boot - TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(-2), TimeSpan.FromMinutes(2));
    }

    [Fact]
    public void Setting_the_counter_renews_the_clock_page()
    {
        Run(code =>
        {
            WriteMsr(code, SystemTime, Page | 1);
            WriteMsr(code, 0x10, 77);
            code.hlt();
        });
        var page = _processor.Read<KvmClockPages.SystemTime>(Page);
        Assert.Equal(77UL, page.TscTimestamp);
        Assert.Equal(5_000_000_000UL, page.Nanoseconds);
    }

    [Fact]
    public void A_kick_reaches_the_other_processor_and_continues_behind_the_call()
    {
        Run(code =>
        {
            code.mov(eax, 5);
            code.xor(ebx, ebx);
            code.mov(ecx, 3);
            code.vmcall();
            code.mov(r8, rax);
            code.mov(eax, 999);
            code.vmcall();
            code.hlt();
        });
        Assert.Equal(["unhalt"], _otherOwner.Events);
        Assert.Equal(0UL, _processor.Gpr(8));
        Assert.Equal(unchecked((ulong)-1000), _processor.Gpr(0));
    }

    [Fact]
    public void Interrupts_by_bitmap_reach_who_is_named()
    {
        Run(code =>
        {
            code.mov(eax, 10);
            code.mov(ebx, 0b110);
            code.xor(ecx, ecx);
            code.mov(edx, 1);
            code.mov(esi, 0x40f1);
            code.vmcall();
            code.hlt();
        });
        Assert.Equal(1UL, _processor.Gpr(0));
        Assert.Equal(0xf1, _other.Acknowledge());
    }

    [Fact]
    public void An_unhalted_processor_leaves_hlt_once_even_if_kicked_before()
    {
        _bus.Unhalt(0);
        _processor.Place(code =>
        {
            code.nop();
            code.hlt();
            code.mov(r8d, 1);
            code.hlt();
        });
        using var watchdog = new Timer(_ => _processor.Vcpu.Kick(), null, 200, Timeout.Infinite);
        Assert.Equal(VcpuExit.Kicked, _processor.Vcpu.Run());
        Assert.Equal(1UL, _processor.Gpr(8));
        Assert.Equal(WebVm.Vmm.Cpu.State.VcpuActivity.Halted, _processor.Cpu->State.Activity);
    }

    [Fact]
    public void A_kick_that_came_before_a_save_is_not_lost_by_it()
    {
        var state = (WebVm.Vmm.Cpu.State.CpuState*)System.Runtime.InteropServices.NativeMemory.AlignedAlloc(
            (nuint)sizeof(WebVm.Vmm.Cpu.State.CpuState), 64);
        _processor.Place(code =>
        {
            code.hlt();
            code.mov(r8d, 1);
            code.hlt();
        });
        _processor.Cpu->State.Msr.KvmSystemTime = Page | 1;
        _bus.Unhalt(0);
        _processor.Vcpu.Save(state);
        _processor.Vcpu.Load(state);
        System.Runtime.InteropServices.NativeMemory.AlignedFree(state);
        using var watchdog = new Timer(_ => _processor.Vcpu.Kick(), null, 200, Timeout.Infinite);
        _processor.Vcpu.Run();
        Assert.Equal(1UL, _processor.Gpr(8));
    }

    [Fact]
    public void Reserved_bits_and_unknown_registers_are_refused()
    {
        Assert.False(KvmRegisters.TryWrite(_processor.Cpu, StealTimeMsr, Page | 0x11));
        Assert.False(KvmRegisters.TryWrite(_processor.Cpu, PvEoi, Page | 3));
        Assert.False(KvmRegisters.TryWrite(_processor.Cpu, 0x4b564d02, 0));
        Assert.True(KvmRegisters.TryWrite(_processor.Cpu, PvEoi, Page | 1));
        Assert.True(KvmRegisters.TryRead(_processor.Cpu, PvEoi, out ulong value));
        Assert.Equal(Page | 1, value);
        foreach (uint msr in (uint[])[WallClock, SystemTime, StealTimeMsr, PvEoi])
        {
            // Wherever the guest says its pages are.
            KvmRegisters.TryWrite(_processor.Cpu, msr, 0xffff_ffff_ffff_ffc1);
            KvmRegisters.TryWrite(_processor.Cpu, msr, LongModeProcessor.MemorySize - 63);
        }
    }

    [Fact]
    public void Stolen_time_is_what_the_scheduler_says()
    {
        using var steal = new StealTime();
        var structure = new GuestPhysicalAddress(Page);
        steal.Update(_processor.Memory, structure);
        Assert.Equal(0UL, _processor.Read<ulong>(Page));

        // With more spinning threads than processors this one is made to wait.
        bool stop = false;
        var rivals = Enumerable.Range(0, Environment.ProcessorCount * 2).Select(_ => new Thread(() =>
        {
            while (!Volatile.Read(ref stop))
            {
            }
        })).ToArray();
        Array.ForEach(rivals, rival => rival.Start());
        long end = Environment.TickCount64 + 120_000;
        while (_processor.Read<ulong>(Page) == 0 && Environment.TickCount64 < end)
        {
            steal.Update(_processor.Memory, structure);
        }

        Volatile.Write(ref stop, true);
        Array.ForEach(rivals, rival => rival.Join());
        Assert.NotEqual(0UL, _processor.Read<ulong>(Page));
        Assert.Equal(0u, _processor.Read<uint>(Page + 8) & 1);
    }

    [Fact]
    public void Others_see_whether_a_vcpu_was_made_to_stand_still()
    {
        const ulong preempted = Page + 16;
        Run(code =>
        {
            WriteMsr(code, StealTimeMsr, Page | 1);
            code.hlt();
        });
        Assert.Equal(1, _processor.Read<byte>(preempted));
        Restart(code =>
        {
            code.movzx(r8d, __byte_ptr[preempted]);
            code.hlt();
        });
        Assert.Equal(0UL, _processor.Gpr(8));
        Assert.Equal(1, _processor.Read<byte>(preempted));

        // Nothing is written for a guest that has withdrawn its structure.
        Restart(code =>
        {
            WriteMsr(code, StealTimeMsr, 0);
            code.mov(__byte_ptr[preempted], 7);
            code.hlt();
        });
        Assert.Equal(7, _processor.Read<byte>(preempted));
    }

    [Fact]
    public void Translations_that_were_to_be_flushed_while_a_vcpu_stood_still_are_gone_when_it_runs()
    {
        const ulong window = 0x4000_0000;
        const ulong directory = 0x5_1000;
        _processor.Write(LongModeProcessor.PageTables + 0x1008, directory | 7);
        _processor.Write(directory, 0x60_00e7UL);
        _processor.Write(0x60_0000UL, 0x1111UL);
        _processor.Write(0x80_0000UL, 0x2222UL);
        _processor.Gpr(6) = window;
        Run(code =>
        {
            WriteMsr(code, StealTimeMsr, Page | 1);
            code.mov(r8, __qword_ptr[rsi]);
            code.hlt();
        });
        Assert.Equal(0x1111UL, _processor.Gpr(8));
        Assert.Equal(1, _processor.Read<byte>(Page + 16));
        _processor.Write(directory, 0x80_00e7UL);
        _processor.Write(Page + 16, (byte)3);
        Restart(code =>
        {
            code.mov(r8, __qword_ptr[rsi]);
            code.hlt();
        });
        Assert.Equal(0x2222UL, _processor.Gpr(8));
    }

    private static void WriteMsr(Assembler code, uint msr, ulong value)
    {
        code.mov(ecx, msr);
        code.mov(eax, (uint)value);
        code.mov(edx, (uint)(value >> 32));
        code.wrmsr();
    }

    /// <summary>Another program, entered as it was left.</summary>
    private void Restart(Action<Assembler> program)
    {
        const ulong next = LongModeProcessor.Code + 0x800;
        _processor.Place(program, next);
        _processor.Cpu->State.Rip = next;
        _processor.Cpu->State.Activity = WebVm.Vmm.Cpu.State.VcpuActivity.Active;
        Assert.Equal(VcpuExit.Kicked, _processor.RunToHalt());
    }

    private void Run(Action<Assembler> program)
    {
        _processor.Place(program);
        Assert.Equal(VcpuExit.Kicked, _processor.RunToHalt());
    }
}
