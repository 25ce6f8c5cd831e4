using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Kvm;

/// <summary>State moved out of and into KVM, dirty pages, and guests that mean harm.</summary>
public sealed unsafe class KvmStateTests
{
    private const ulong LongMode = (1 << 8) | (1 << 10);

    [Fact]
    public void Architectural_state_survives_a_round_trip()
    {
        using var guest = new KvmGuest();
        var random = new Random(20261120);
        byte[] written = new byte[Unsafe.SizeOf<CpuState>()];
        byte[] read = new byte[written.Length];
        guest.SaveCpu(written);
        fixed (byte* w = written, r = read)
        {
            var state = Aligned(w);
            for (int i = 0; i < 16; i++)
            {
                state->Gpr[i] = (ulong)random.NextInt64();
            }

            state->Rip = 0xffff_8000_0000_1000;
            state->Rflags = 0x246;
            state->Cr0 = 0x8005_0033;
            state->Cr2 = 0x1234_5678_9abc;
            state->Cr3 = 0x5000;
            state->Cr4 = 0x6f0 & ~0x40u;
            state->Efer = LongMode | 0x801;
            state->Xcr0 = 7;
            state->Segments[SegmentIndex.Cs] = new SegmentRegister { Selector = 0x10, Limit = uint.MaxValue,
                Attributes = (SegmentAttributes)0xa09b };
            state->Segments[SegmentIndex.Ss] = new SegmentRegister { Selector = 0x18, Limit = uint.MaxValue,
                Attributes = (SegmentAttributes)0xc093 };
            state->Segments[SegmentIndex.Fs] = new SegmentRegister { Base = 0x7f00_1234_5000, Limit = uint.MaxValue,
                Attributes = (SegmentAttributes)0xc093 };
            state->Segments[SegmentIndex.Gs] = new SegmentRegister { Base = 0xffff_8880_0000_0000, Limit = uint.MaxValue,
                Attributes = (SegmentAttributes)0xc093 };
            state->Segments[SegmentIndex.Tr] = new SegmentRegister { Base = 0xffff_8000_0000_3000, Selector = 0x40, Limit = 0x206f,
                Attributes = (SegmentAttributes)0x8b };
            state->Gdtr = new DescriptorTableRegister { Base = 0xffff_8000_0000_2000, Limit = 0x7f };
            state->Idtr = new DescriptorTableRegister { Base = 0xffff_fe00_0000_0000, Limit = 0xfff };
            state->Dr[0] = 0x1111;
            state->Dr[3] = 0x3333;
            state->Msr.Star = 0x0023_0010_0000_0000;
            state->Msr.Lstar = 0xffff_8000_0000_4000;
            state->Msr.Sfmask = 0x47700;
            state->Msr.KernelGsBase = 0x7fff_0000_0000;
            state->Msr.SysenterEip = 0xffff_8000_0000_5000;
            state->Msr.Pat = 0x0407_0506_0007_0106;
            state->Msr.TscAux = 3;
            state->Msr.MtrrDefaultType = 0xc06;
            state->Msr.MtrrFixed[0] = 0x0606_0606_0606_0606;
            state->Xsave.ControlWord = 0x27f;
            state->Xsave.Mxcsr = 0x1fa0;
            for (int i = 0; i < 256; i++)
            {
                state->Xsave.Xmm[i] = (byte)random.Next(256);
                state->Xsave.YmmHigh[i] = (byte)random.Next(256);
            }

            guest.LoadCpu(written);
            guest.SaveCpu(read);
            var after = Aligned(r);
            Assert.Equal(new Span<ulong>(state->Gpr, 16), new Span<ulong>(after->Gpr, 16));
            Assert.Equal((state->Rip, state->Rflags), (after->Rip, after->Rflags));
            Assert.Equal(
                (state->Cr0, state->Cr2, state->Cr3, state->Cr4, state->Efer, state->Xcr0),
                (after->Cr0, after->Cr2, after->Cr3, after->Cr4, after->Efer, after->Xcr0));
            foreach (var segment in (SegmentIndex[])[SegmentIndex.Cs, SegmentIndex.Ss, SegmentIndex.Fs, SegmentIndex.Gs, SegmentIndex.Tr])
            {
                Assert.Equal(state->Segments[segment], after->Segments[segment]);
            }

            Assert.Equal((state->Gdtr.Base, state->Gdtr.Limit), (after->Gdtr.Base, after->Gdtr.Limit));
            Assert.Equal((state->Idtr.Base, state->Idtr.Limit), (after->Idtr.Base, after->Idtr.Limit));
            Assert.Equal((state->Dr[0], state->Dr[3]), (after->Dr[0], after->Dr[3]));
            Assert.Equal((state->Msr.Star, state->Msr.Lstar, state->Msr.Sfmask), (after->Msr.Star, after->Msr.Lstar, after->Msr.Sfmask));
            Assert.Equal(
                (state->Msr.KernelGsBase, state->Msr.SysenterEip, state->Msr.Pat),
                (after->Msr.KernelGsBase, after->Msr.SysenterEip, after->Msr.Pat));
            Assert.Equal(
                (state->Msr.TscAux, state->Msr.MtrrDefaultType, state->Msr.MtrrFixed[0]),
                (after->Msr.TscAux, after->Msr.MtrrDefaultType, after->Msr.MtrrFixed[0]));
            Assert.Equal((state->Xsave.ControlWord, state->Xsave.Mxcsr), (after->Xsave.ControlWord, after->Xsave.Mxcsr));
            Assert.Equal(new Span<byte>(state->Xsave.Xmm, 256), new Span<byte>(after->Xsave.Xmm, 256));
            Assert.Equal(new Span<byte>(state->Xsave.YmmHigh, 256), new Span<byte>(after->Xsave.YmmHigh, 256));
        }
    }

    [Theory]
    [InlineData(VcpuActivity.Active)]
    [InlineData(VcpuActivity.Halted)]
    [InlineData(VcpuActivity.WaitForSipi)]
    public void Activity_and_pending_events_survive_a_round_trip(VcpuActivity activity)
    {
        using var guest = new KvmGuest(2);
        byte[] cpu = new byte[Unsafe.SizeOf<CpuState>()];
        byte[] read = new byte[cpu.Length];
        guest.SaveCpu(cpu, 1);
        fixed (byte* c = cpu, r = read)
        {
            var state = Aligned(c);
            state->Activity = activity;
            state->NmiBlocked = 1;
            state->PendingEvent = 0x100 | 14;
            state->PendingEventType = 3;
            state->PendingEventHasErrorCode = 1;
            state->PendingEventErrorCode = 2;
            guest.LoadCpu(cpu, 1);
            guest.SaveCpu(read, 1);
            var after = Aligned(r);
            Assert.Equal(activity, after->Activity);
            Assert.Equal(1, after->NmiBlocked);
            Assert.Equal(
                (0x10e, 3, 1, 2u), (after->PendingEvent, after->PendingEventType, after->PendingEventHasErrorCode,
                    after->PendingEventErrorCode));
        }
    }

    [Fact]
    public void A_second_processor_starts_by_init_and_SIPI()
    {
        using var guest = new KvmGuest(2);
        guest.Write(0x3000, KvmGuest.Assemble("bits 16\n mov al, 0x77\n out 0xf4, al\n hlt"));
        var second = Task.Factory.StartNew(
            () => guest.RunToEnd(1), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        guest.Engine.Interrupts.SendMsi(new WebVm.Vmm.Interrupts.MsiMessage(0xfee0_1000, 0x500));
        guest.Load("""
            lgdt [gdtr]
            mov eax, cr0
            or al, 1
            mov cr0, eax
            mov bx, 8
            mov fs, bx
            and al, 0xfe
            mov cr0, eax
            mov ebx, 0xfee00000
            mov dword [fs:ebx + 0xf0], 0x1ff
            mov dword [fs:ebx + 0x310], 0x01000000
            mov dword [fs:ebx + 0x300], 0x4500
            mov dword [fs:ebx + 0x300], 0x4603
            sti
            hlt
            align 8
            gdt: dq 0, 0x00cf93000000ffff
            gdtr: dw 15
                  dd gdt
            """);
        var first = Task.Factory.StartNew(guest.Vcpu.Run, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
#pragma warning disable xUnit1031 // The vCPUs have threads of their own.
        Assert.True(second.Wait(TimeSpan.FromMinutes(2)));
        guest.Vcpu.Kick();
        Assert.True(first.Wait(TimeSpan.FromMinutes(2)));
        Assert.Equal(0x77u, second.Result);
#pragma warning restore xUnit1031
    }

    [Fact]
    public void Pages_that_the_guest_writes_are_dirty()
    {
        using var guest = new KvmGuest();
        using var watch = guest.Memory.Watch(guest.Ram);
        guest.Load("""
            mov ax, 0x4000
            mov es, ax
            mov byte [es:0], 1
            mov byte [es:0x3000], 1
            out 0xf4, al
            """);
        var bitmap = new ulong[guest.Ram.PageCount / 64];
        watch.Collect(bitmap);
        bitmap.AsSpan().Clear();
        guest.RunToEnd();
        watch.Collect(bitmap);
        Assert.Equal([0x40, 0x43], Enumerable.Range(0, guest.Ram.PageCount).Where(page => (bitmap[page / 64] >> (page & 63) & 1) != 0));

        bitmap.AsSpan().Clear();
        watch.Collect(bitmap);
        Assert.All(bitmap, word => Assert.Equal(0u, word));
        guest.Write(0x50000, 1);
        watch.Collect(bitmap);
        Assert.Equal(1UL << 0x10, bitmap[1]);
    }

    [Fact]
    public void Impossible_state_is_a_failure_and_never_more()
    {
        const int seed = 4711;
        var random = new Random(seed);
        byte[] cpu = new byte[Unsafe.SizeOf<CpuState>()];
        for (int round = 0; round < 25; round++)
        {
            using var guest = new KvmGuest();
            guest.SaveCpu(cpu);
            fixed (byte* bytes = cpu)
            {
                var state = Aligned(bytes);
                for (int change = 0; change < 6; change++)
                {
                    int at = random.Next((int)((byte*)&state->Activity - (byte*)state));
                    ((byte*)state)[at] = (byte)random.Next(256);
                }
            }

            try
            {
                guest.LoadCpu(cpu);
            }
            catch (WebVm.Vmm.Host.LinuxException)
            {
                continue; // KVM refused the state: the restore fails with the call's name.
            }

            guest.Vcpu.Deadline = System.Diagnostics.Stopwatch.GetTimestamp() + (System.Diagnostics.Stopwatch.Frequency / 100);
            Assert.True(Enum.IsDefined(guest.Vcpu.Run()), $"seed {seed}, round {round}");
        }
    }

    [Fact]
    public void Random_code_never_leaves_the_run_by_an_exception()
    {
        const int seed = 815;
        var random = new Random(seed);
        byte[] code = new byte[4096];
        for (int round = 0; round < 40; round++)
        {
            using var guest = new KvmGuest();
            guest.Load("nop");
            random.NextBytes(code);
            guest.Write(KvmGuest.CodeAddress, code);
            guest.Vcpu.Deadline = System.Diagnostics.Stopwatch.GetTimestamp() + (System.Diagnostics.Stopwatch.Frequency / 100);
            Assert.True(Enum.IsDefined(guest.Vcpu.Run()), $"seed {seed}, round {round}");
        }
    }

    // The round trips copy whole structs; KVM never sees these addresses, so their alignment does not matter.
    private static CpuState* Aligned(byte* start) => (CpuState*)start;
}
