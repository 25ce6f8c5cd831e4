using System.Diagnostics;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Memory;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Kvm;

/// <summary>Guest code on real KVM, and the ways it is stopped.</summary>
public sealed class KvmExecutionTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(2);

    [Fact]
    public void Port_accesses_reach_the_bus_with_their_width_and_answers()
    {
        using var guest = new KvmGuest();
        guest.Bus.Answers[0x123] = 0xcafe;
        guest.Load("""
            mov dx, 0x3f8
            mov al, 'A'
            out dx, al
            mov dx, 0x123
            in ax, dx
            mov dx, 0x500
            out dx, eax
            out 0xf4, al
            """);
        Assert.Equal(0xfeu, guest.RunToEnd());
        Assert.Equal(["out 3f8 1 41", "in 123 2"], guest.Bus.Accesses.Take(2));
        Assert.EndsWith("cafe", guest.Bus.Accesses.Last(), StringComparison.Ordinal);
        Assert.True(guest.Vcpu.Counters.PortExits >= 4);
    }

    [Fact]
    public void A_string_output_reaches_the_bus_element_by_element()
    {
        using var guest = new KvmGuest();
        guest.Load("""
            mov si, text
            mov cx, 5
            mov dx, 0x3f8
            cld
            rep outsb
            out 0xf4, al
            text: db "hello"
            """);
        guest.RunToEnd();
        Assert.Equal("hello", string.Concat(guest.Bus.Accesses.Select(access => (char)Convert.ToByte(access.Split(' ')[3], 16))));
    }

    [Fact]
    public void A_string_input_fills_memory()
    {
        using var guest = new KvmGuest();
        guest.Load("""
            mov di, 0x2000
            mov cx, 3
            mov dx, 0x1f0
            cld
            rep insw
            out 0xf4, al
            """);
        guest.RunToEnd();
        Assert.Equal(0x2211_2211u, guest.Read<uint>(0x2000));
        Assert.Equal(0x2211, guest.Read<ushort>(0x2004));
    }

    [Fact]
    public void Memory_outside_the_map_reaches_the_bus()
    {
        using var guest = new KvmGuest();
        guest.Load("""
            mov ax, 0xffff
            mov es, ax
            mov word [es:0x10], 0x1234
            mov ecx, [es:0x20]
            mov [0x2000], ecx
            out 0xf4, al
            """);
        guest.RunToEnd();
        Assert.Equal(["write 100000 2 1234", "read 100010 4"], guest.Bus.Accesses);
        Assert.Equal(0x44332211u, guest.Read<uint>(0x2000));
    }

    [Fact]
    public void Stores_to_read_only_memory_have_no_effect()
    {
        using var guest = new KvmGuest();
        var rom = guest.Memory.CreateRegion("rom", GuestMemoryKind.Rom, 0x1000);
        Assert.True(guest.Memory.TryMap(rom, new GuestPhysicalAddress(0x100000)));
        guest.Write(0x100000, 0x5a);
        guest.Load("""
            mov ax, 0xffff
            mov es, ax
            mov byte [es:0x10], 0x11
            mov al, [es:0x10]
            out 0xf4, al
            """);
        Assert.Equal(0x5au, guest.RunToEnd());
        Assert.Empty(guest.Bus.Accesses);
    }

    [Fact]
    public void Memory_mapped_and_unmapped_later_is_seen_by_the_guest()
    {
        using var guest = new KvmGuest();
        var late = guest.Memory.CreateRegion("late", GuestMemoryKind.Device, 0x2000);
        for (int round = 0; round < 3; round++)
        {
            Assert.True(guest.Memory.TryMap(late, new GuestPhysicalAddress(0x100000)));
            guest.Write(0x100000, (byte)(round + 1));
            guest.Load("mov ax, 0xffff\n mov es, ax\n mov al, [es:0x10]\n out 0xf4, al");
            Assert.Equal((uint)round + 1, guest.RunToEnd());
            Assert.Empty(guest.Bus.Accesses);
            guest.Memory.Unmap(late);
        }

        guest.Load("mov ax, 0xffff\n mov es, ax\n mov al, [es:0x10]\n out 0xf4, al");
        Assert.Equal(0x11u, guest.RunToEnd());
    }

    [Fact]
    public async Task A_spinning_guest_is_kicked()
    {
        using var guest = new KvmGuest();
        guest.Load("cli\n spin: jmp spin");
        for (int round = 0; round < 20; round++)
        {
            using var running = new ManualResetEventSlim();
            var run = Task.Factory.StartNew(
                () =>
                {
                    running.Set();
                    return guest.Vcpu.Run();
                },
                CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            running.Wait(s_patience, TestContext.Current.CancellationToken);
            await Task.Delay(round % 3, TestContext.Current.CancellationToken);
            guest.Vcpu.Kick();
            Assert.Equal(VcpuExit.Kicked, await run.WaitAsync(s_patience, TestContext.Current.CancellationToken));
        }
    }

    [Fact]
    public void A_kick_before_the_run_stops_it()
    {
        using var guest = new KvmGuest();
        guest.Load("cli\n spin: jmp spin");
        guest.Vcpu.Kick();
        Assert.Equal(VcpuExit.Kicked, guest.Vcpu.Run());
        guest.Vcpu.Deadline = Stopwatch.GetTimestamp() + (Stopwatch.Frequency / 100);
        Assert.Equal(VcpuExit.DeadlineReached, guest.Vcpu.Run());
    }

    [Fact]
    public void A_halted_guest_is_kicked()
    {
        using var guest = new KvmGuest();
        guest.Load("cli\n hlt");
        using var timer = new Timer(_ => guest.Vcpu.Kick(), null, 50, Timeout.Infinite);
        Assert.Equal(VcpuExit.Kicked, guest.Vcpu.Run());
    }

    [Fact]
    public void The_deadline_ends_a_spin_with_interrupts_off()
    {
        using var guest = new KvmGuest();
        guest.Load("cli\n spin: jmp spin");
        for (int round = 0; round < 5; round++)
        {
            long deadline = Stopwatch.GetTimestamp() + (Stopwatch.Frequency / 200);
            guest.Vcpu.Deadline = deadline;
            Assert.Equal(VcpuExit.DeadlineReached, guest.Vcpu.Run());
            Assert.True(Stopwatch.GetTimestamp() >= deadline);
        }

        // A deadline that is over does not let the guest run; without one it is only stopped by a kick.
        Assert.Equal(VcpuExit.DeadlineReached, guest.Vcpu.Run());
        guest.Vcpu.Deadline = 0;
        using var timer = new Timer(_ => guest.Vcpu.Kick(), null, 50, Timeout.Infinite);
        Assert.Equal(VcpuExit.Kicked, guest.Vcpu.Run());
    }

    [Fact]
    public void An_access_is_complete_when_the_run_that_answered_it_returns()
    {
        using var guest = new KvmGuest();
        guest.Bus.Answers[0x123] = 0x77;
        guest.Load("mov dx, 0x123\n in al, dx\n out 0xf4, al\n hlt");
        guest.RunToEnd();
        Assert.Equal(0x77u, guest.Register(0) & 0xff);
    }

    [Fact]
    public void A_triple_fault_is_a_shutdown()
    {
        using var guest = new KvmGuest();

        // Protected mode with an empty interrupt table: the divide error cannot be delivered, nor the double fault.
        guest.Load("""
            cli
            lgdt [gdtr]
            lidt [idtr]
            mov eax, cr0
            or al, 1
            mov cr0, eax
            jmp 8:protected
            bits 32
            protected:
            xor ecx, ecx
            div ecx
            align 8
            gdt: dq 0, 0x00cf9b000000ffff
            gdtr: dw 15
                  dd gdt
            idtr: dw 0
                  dd 0
            """);
        var exit = guest.Vcpu.Run();
        Assert.True(exit == VcpuExit.Shutdown, $"{exit}: {guest.Vcpu.Failure}");
    }
}
