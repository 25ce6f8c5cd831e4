using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Measurement;
using WebVm.Vmm.Cpu.State;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Kvm;

/// <summary>64-bit user code and its kernel on KVM, whether or not this host's KVM needs assists for it.</summary>
public sealed unsafe class KvmLongModeTests
{
    private const uint Kernel = 0x1000;
    private const uint Start = 0x24;
    private const uint User = 0x2000;
    private const uint Tables = 0x8000;

    [Fact]
    public void A_user_program_reaches_its_kernel_by_SYSCALL_and_comes_back()
    {
        using var guest = new KvmGuest();
        guest.Write(Kernel, KvmGuest.Assemble("""
            bits 64
            org 0x1000
            swapgs
            mov [gs:0], rcx
            mov ax, cs
            mov bx, ss
            shl ebx, 16
            or eax, ebx
            mov [0x3000], eax
            swapgs
            o64 sysret
            start:
            mov rcx, 0x2000
            mov r11d, 0x3202
            o64 sysret
            """));
        guest.Write(User, KvmGuest.Assemble("""
            bits 64
            org 0x2000
            mov rbp, 3
            again:
            syscall
            dec rbp
            jnz again
            mov ax, cs
            out 0xf4, ax
            """));
        EnterUser(guest);
        if (!KvmProbe.TakesSystemCalls())
        {
            Assert.Skip("This host's KVM leaves user code at CPL 3 after SYSCALL: no system's programs run on it.");
        }

        Assert.Equal(0x33u, guest.RunToEnd());
        Assert.Equal(0x0018_0010u, guest.Read<uint>(0x3000));
        Assert.InRange(guest.Read<ulong>(0x4000), User + 2u, User + 0x20u);
    }

    /// <summary>The first 2 MiB identity-mapped for everyone, flat segments, GS bases of kernel and user apart, IOPL 3.</summary>
    private static void EnterUser(KvmGuest guest)
    {
        guest.Write(Tables, BitConverter.GetBytes(Tables + 0x1007UL));
        guest.Write(Tables + 0x1000, BitConverter.GetBytes(Tables + 0x2007UL));
        guest.Write(Tables + 0x2000, BitConverter.GetBytes(0x87UL));

        // GDT: null, null, kernel code and data, 32-bit user code, user data, user code.
        ulong[] descriptors = [0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cffb000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff];
        for (int i = 0; i < descriptors.Length; i++)
        {
            guest.Write((uint)(0x5000 + (i * 8)), BitConverter.GetBytes(descriptors[i]));
        }

        byte[] cpu = new byte[Unsafe.SizeOf<CpuState>()];
        guest.SaveCpu(cpu);
        fixed (byte* bytes = cpu)
        {
            var state = (CpuState*)bytes;
            state->Cr0 = 0x8005_0033;
            state->Cr3 = Tables;
            state->Cr4 = 0x6a0;
            state->Efer = 0xd01;
            var data = new SegmentRegister { Selector = 0x18, Limit = uint.MaxValue, Attributes = (SegmentAttributes)0xc093 };
            for (var segment = SegmentIndex.Es; segment <= SegmentIndex.Gs; segment++)
            {
                state->Segments[segment] = data;
            }

            state->Segments[SegmentIndex.Cs] = new SegmentRegister { Selector = 0x10, Limit = uint.MaxValue,
                Attributes = (SegmentAttributes)0xa09b };
            state->Gdtr = new DescriptorTableRegister { Base = 0x5000, Limit = 0x37 };
            state->Msr.Star = 0x0023_0010_0000_0000;
            state->Msr.Lstar = Kernel;
            state->Msr.Sfmask = 0x200;
            state->Segments[SegmentIndex.Gs].Base = 0;
            state->Msr.KernelGsBase = 0x4000;
            state->Rip = Kernel + Start;
            state->Rflags = 0x3002;
            state->Gpr[4] = 0x7000;
        }

        guest.LoadCpu(cpu);
    }
}
