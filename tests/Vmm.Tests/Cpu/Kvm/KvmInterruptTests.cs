using System.Buffers.Binary;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Host;
using WebVm.Vmm.Interrupts;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Kvm;

/// <summary>Interrupts through KVM's in-kernel controllers, and their state.</summary>
public sealed class KvmInterruptTests
{
    // Initializes the PICs (vectors 0x20 and 0x28), unmasks IRQ 4 alone, and counts its interrupts in AL.
    private const string SerialHandler = """
        cli
        mov al, 0x11
        out 0x20, al
        out 0xa0, al
        mov al, 0x20
        out 0x21, al
        mov al, 0x28
        out 0xa1, al
        mov al, 4
        out 0x21, al
        mov al, 2
        out 0xa1, al
        mov al, 1
        out 0x21, al
        out 0xa1, al
        mov al, 0xef
        out 0x21, al
        mov al, 0xff
        out 0xa1, al
        mov word [0x24 * 4], handler
        mov word [0x24 * 4 + 2], 0
        out 0x80, al
        sti
        wait_here:
        hlt
        jmp wait_here
        handler:
        mov al, 0x20
        out 0x20, al
        mov al, 0x5a
        out 0xf4, al
        iret
        """;

    // Initializes the PICs, unmasks IRQ 0 alone, starts the PIT at 100 Hz, reports every tick and ends with the twelfth.
    private const string TickCounter = """
        cli
        mov al, 0x11
        out 0x20, al
        mov al, 0x20
        out 0x21, al
        mov al, 4
        out 0x21, al
        mov al, 1
        out 0x21, al
        mov al, 0xfe
        out 0x21, al
        mov word [0x20 * 4], handler
        mov word [0x20 * 4 + 2], 0
        mov al, 0x34
        out 0x43, al
        mov al, 0x9c
        out 0x40, al
        mov al, 0x2e
        out 0x40, al
        mov cx, 12
        sti
        wait_here:
        hlt
        jmp wait_here
        handler:
        mov al, 0x20
        out 0x20, al
        out 0x80, al
        loop done
        out 0xf4, al
        done:
        iret
        """;

    // Software-enables the local APIC and answers vector 0x41.
    private const string MessageHandler = """
        cli
        mov word [0x41 * 4], handler
        mov word [0x41 * 4 + 2], 0
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
        out 0x80, al
        sti
        wait_here:
        hlt
        jmp wait_here
        handler:
        mov dword [fs:ebx + 0xb0], 0
        mov al, 0x41
        out 0xf4, al
        iret
        align 8
        gdt: dq 0, 0x00cf93000000ffff
        gdtr: dw 15
              dd gdt
        """;

    [Fact]
    public void An_asserted_line_interrupts_a_halted_guest()
    {
        using var guest = new KvmGuest();
        guest.Load(SerialHandler);
        using var timer = new Timer(_ => new InterruptLine(guest.Engine.Interrupts, 4).CreateSource().Pulse(), null, 50, Timeout.Infinite);
        Assert.Equal(0x5au, guest.RunToEnd());
    }

    [Fact]
    public void A_message_interrupts_a_halted_guest()
    {
        using var guest = new KvmGuest();
        guest.Load(MessageHandler);
        using var timer = new Timer(_ => guest.Engine.Interrupts.SendMsi(new MsiMessage(0xfee0_0000, 0x41)), null, 50, Timeout.Infinite);
        Assert.Equal(0x41u, guest.RunToEnd());
    }

    [Fact]
    public void An_event_descriptor_interrupts_the_guest_by_its_message()
    {
        using var guest = new KvmGuest();
        using var source = new EventDescriptor();
        guest.Load(MessageHandler);
        int gsi = guest.Engine.KernelInterrupts.AllocateMessageGsi()!.Value;
        guest.Engine.KernelInterrupts.SetMessage(gsi, new MsiMessage(0xfee0_0000, 0x41));
        guest.Engine.KernelInterrupts.ConnectEvent(source, gsi, connect: true);
        using var timer = new Timer(_ => source.Signal(), null, 50, Timeout.Infinite);
        Assert.Equal(0x41u, guest.RunToEnd());
        guest.Engine.KernelInterrupts.ConnectEvent(source, gsi, connect: false);
        guest.Engine.KernelInterrupts.FreeMessageGsi(gsi);
    }

    [Fact]
    public void A_doorbell_raises_its_event_without_an_exit()
    {
        using var guest = new KvmGuest();
        using var doorbell = new EventDescriptor();
        guest.Engine.IoEvents.Connect(0x123, port: true, size: 2, match: 7, doorbell);
        guest.Load("mov dx, 0x123\n mov ax, 7\n out dx, ax\n mov ax, 8\n out dx, ax\n out 0xf4, al");
        guest.RunToEnd();
        Assert.Equal(1u, doorbell.Consume());
        Assert.Equal("out 123 2 8", Assert.Single(guest.Bus.Accesses));
        guest.Engine.IoEvents.Disconnect(0x123, port: true, size: 2, match: 7, doorbell);
    }

    [Fact]
    public void An_interrupt_asserted_before_a_save_is_delivered_after_the_restore()
    {
        InterruptControllerState controllers;
        var cpu = new byte[System.Runtime.CompilerServices.Unsafe.SizeOf<WebVm.Vmm.Cpu.State.CpuState>()];
        var memory = new byte[1 << 20];
        using (var guest = new KvmGuest())
        {
            guest.Load(SerialHandler);
            RunToMark(guest);
            guest.Engine.Interrupts.SetLine(4, true);
            controllers = guest.Engine.SaveInterruptControllers();
            guest.SaveCpu(cpu);
            Assert.True(guest.Memory.TryRead(new WebVm.Vmm.Memory.GuestPhysicalAddress(0), memory));
        }

        Assert.Equal(0x10, controllers.PrimaryPic.InterruptRequest & 0x10);
        Assert.Equal(0x20, controllers.PrimaryPic.VectorBase);
        Assert.Equal(0xef, controllers.PrimaryPic.Mask);
        using var restored = new KvmGuest();
        restored.Write(0, memory);
        restored.Engine.LoadInterruptControllers(controllers);
        restored.LoadCpu(cpu);
        Assert.Equal(0x5au, restored.RunToEnd());
    }

    [Fact]
    public void Controller_state_survives_a_round_trip()
    {
        using var guest = new KvmGuest(2);
        var found = guest.Engine.SaveInterruptControllers();
        ulong[] redirection = [.. found.IoApic.Redirection];
        redirection[4] = 0x0100_0000_0000_0931;
        redirection[17] = 0x0000_0000_0000_a052;
        byte[] registers = [.. found.LocalApics[1].Registers];
        BinaryPrimitives.WriteUInt32LittleEndian(registers.AsSpan(0xf0), 0x1ff);
        BinaryPrimitives.WriteUInt32LittleEndian(registers.AsSpan(0x320), 0x20031); // periodic timer
        BinaryPrimitives.WriteUInt32LittleEndian(registers.AsSpan(0x3e0), 0xb); // divide by 1
        BinaryPrimitives.WriteUInt32LittleEndian(registers.AsSpan(0x380), 4_000_000_000);
        guest.Clock.Stop();
        var state = new InterruptControllerState
        {
            PrimaryPic = found.PrimaryPic with { Mask = 0xb8, VectorBase = 0x30, InService = 1, LevelTriggered = 0x20,
                ReadInService = true },
            SecondaryPic = found.SecondaryPic with { Mask = 0x8e, VectorBase = 0x38, SpecialMask = true, InitializationStep = 3,
                ExpectsFourthWord = true },
            IoApic = found.IoApic with { Id = 2, Index = 0x10, Redirection = redirection },
            Pit = found.Pit with
            {
                SpeakerDataOn = true,
                Channels = [found.Pit.Channels[0] with { Mode = 2, Count = 11932, AccessMode = 3 }, found.Pit.Channels[1],
                    found.Pit.Channels[2] with { Mode = 3, Count = 65536 }],
            },
            LocalApics = [found.LocalApics[0], new LocalApicState { Registers = registers, TimerDeadline = guest.Clock.Now
                + 3_000_000_000 }],
        };
        guest.Engine.LoadInterruptControllers(state);
        var after = guest.Engine.SaveInterruptControllers();
        // KVM's PIT counts from then on, and may have ticked.
        Assert.Equal(state.PrimaryPic, after.PrimaryPic with { InterruptRequest = (byte)(after.PrimaryPic.InterruptRequest & ~1) });
        Assert.Equal(state.SecondaryPic, after.SecondaryPic);
        Assert.Equal(state.IoApic.Redirection, after.IoApic.Redirection);
        Assert.Equal(state.IoApic.Id, after.IoApic.Id);
        Assert.True(after.Pit.SpeakerDataOn);
        Assert.Equal([2, 3], after.Pit.Channels.Where((_, index) => index != 1).Select(channel => (int)channel.Mode));
        Assert.Equal([11932, 65536], after.Pit.Channels.Where((_, index) => index != 1).Select(channel => channel.Count));
        Assert.Equal(state.LocalApics[0].Registers, after.LocalApics[0].Registers);
        Assert.InRange(after.LocalApics[1].TimerDeadline, guest.Clock.Now + 1, guest.Clock.Now + 3_000_000_000);

        guest.Engine.ResetInterruptControllers();
        var reset = guest.Engine.SaveInterruptControllers();
        Assert.Equal(found.PrimaryPic, reset.PrimaryPic);
        Assert.Equal(found.IoApic.Redirection, reset.IoApic.Redirection);
        Assert.Equal(found.LocalApics[1].Registers, reset.LocalApics[1].Registers);
    }

    [Fact]
    public void The_paravirtual_clock_stands_still_while_VM_time_does()
    {
        using var guest = new KvmGuest();
        guest.Clock.Stop();
        guest.Clock.Set(86_400_000_000_000);
        guest.Clock.Start();
        ulong resumed = guest.Engine.ParavirtualTime;
        Assert.InRange(resumed, 86_400_000_000_000u, 86_410_000_000_000u);
    }

    [Fact]
    public void The_paravirtual_clock_and_the_time_stamp_counters_catch_up_with_VM_time()
    {
        const ulong day = 86_400_000_000_000;
        using var guest = new KvmGuest(2);
        guest.Clock.Stop();
        ulong[] stopped = [guest.TimeStamp(0), guest.TimeStamp(1)];
        guest.Clock.Set(1_000, DateTimeOffset.UtcNow - TimeSpan.FromDays(1));
        guest.Clock.CatchUp();
        guest.Clock.Start();
        Assert.InRange(guest.Engine.ParavirtualTime, day, day + (day / 100));
        ulong expected = guest.Vcpu.TimeStamp.Kilohertz * 86_400_000UL;
        if (guest.TimeStamp(0) - stopped[0] < expected / 2)
        {
            Assert.Skip("This host's KVM cannot give guests a time stamp counter of their own.");
        }

        Assert.InRange(guest.TimeStamp(0) - stopped[0], expected, expected + (expected / 100));
        Assert.InRange(guest.TimeStamp(1) - stopped[1], expected, expected + (expected / 100));
    }

    [Fact]
    public void Time_stamp_counters_stand_still_while_VM_time_does_and_stay_together()
    {
        using var guest = new KvmGuest(2);
        guest.Clock.Stop();
        ulong[] stopped = [guest.TimeStamp(0), guest.TimeStamp(1)];
        Thread.Sleep(50);
        Assert.Equal((stopped[0], stopped[1]), (guest.TimeStamp(0), guest.TimeStamp(1)));
        long start = System.Diagnostics.Stopwatch.GetTimestamp();
        guest.Clock.Start();
        ulong[] running = [guest.TimeStamp(0), guest.TimeStamp(1)];
        // It was stopped for longer than this thread may have needed beyond what it saw pass.
        ulong passed = guest.Vcpu.TimeStamp.Kilohertz * (ulong)(System.Diagnostics.Stopwatch.GetElapsedTime(start).TotalMilliseconds + 20);
        if (running[0] - stopped[0] > passed)
        {
            Assert.Skip("This host's KVM cannot give guests a time stamp counter of their own.");
        }

        Assert.All(running, (value, index) => Assert.InRange(value, stopped[index], stopped[index] + passed));
        guest.Clock.Stop();
        Assert.Equal(stopped[1] - stopped[0], guest.TimeStamp(1) - guest.TimeStamp(0));
    }

    [Fact]
    public void The_PIT_makes_no_interrupts_while_an_HPET_replaces_it()
    {
        using var guest = new KvmGuest();
        guest.Load(TickCounter);
        int ticks = 0, whileCut = -1;
        using var reconnect = new Timer(_ =>
        {
            whileCut = Volatile.Read(ref ticks) - 3;
            guest.Engine.ConnectPit(true);
        });
        guest.Bus.OnWrite = port =>
        {
            if (port == 0x80 && Interlocked.Increment(ref ticks) == 3)
            {
                guest.Engine.ConnectPit(false);
                reconnect.Change(300, Timeout.Infinite);
            }
        };
        guest.RunToEnd();

        // One may have been on its way.
        Assert.InRange(whileCut, 0, 1);
    }

    private static void RunToMark(KvmGuest guest)
    {
        guest.Bus.OnWrite = port =>
        {
            if (port == 0x80)
            {
                guest.Vcpu.Kick();
            }
        };
        Assert.Equal(VcpuExit.Kicked, guest.Vcpu.Run());
    }
}
