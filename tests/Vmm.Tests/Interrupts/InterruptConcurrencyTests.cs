using WebVm.Vmm.Interrupts;
using Xunit;

namespace WebVm.Vmm.Tests.Interrupts;

public sealed class InterruptConcurrencyTests
{
    private const int Rounds = 20_000;

    /// <summary>
    /// Each sender sends its vector again as soon as the receiver has handled it, so one that is lost is one that is waited for in vain.
    /// </summary>
    [Fact]
    public void No_interrupt_is_lost_while_many_threads_send_and_the_vcpu_sleeps_in_between()
    {
        using var bench = new ApicBench(1).Enable();
        var apic = bench[0];
        var owner = bench.Owners[0];
        byte[] vectors = [0x31, 0x32, 0x5f, 0xe0];
        var handled = new int[256];
        bool stop = false;

        var receiver = new Thread(() =>
        {
            while (!Volatile.Read(ref stop))
            {
                owner.Signalled.Wait(100);
                owner.Signalled.Reset();
                for (int vector; (vector = apic.Acknowledge()) >= 0;)
                {
                    Interlocked.Increment(ref handled[vector]);
                    apic.WriteMmio(0xb0, 4, 0);
                }
            }
        });
        receiver.Start();
        var failures = new System.Collections.Concurrent.ConcurrentQueue<string>();
        var senders = vectors.Select(vector => new Thread(() =>
        {
            for (int i = 0; i < Rounds; i++)
            {
                bench.Bus.Send(new ApicMessage(0, false, ApicDeliveryMode.Fixed, vector, (i & 1) != 0));
                long start = Environment.TickCount64;
                while (Volatile.Read(ref handled[vector]) <= i)
                {
                    if (Environment.TickCount64 - start > 120_000)
                    {
                        failures.Enqueue($"vector {vector:x} round {i}");
                        return;
                    }

                    Thread.Yield();
                }
            }
        })).ToArray();
        Array.ForEach(senders, sender => sender.Start());
        Array.ForEach(senders, sender => sender.Join());
        Volatile.Write(ref stop, true);
        receiver.Join();

        Assert.Empty(failures);
        Assert.All(vectors, vector => Assert.Equal(Rounds, handled[vector]));
    }

    [Fact]
    public void A_level_line_that_several_devices_share_never_sticks()
    {
        using var bench = new ApicBench(1).Enable();
        var apic = bench[0];
        var owner = bench.Owners[0];
        var timers = new ManualTimers();
        using var router = new SoftInterruptRouter(timers);
        using var cpu = new LocalApic(router.Apics, 0, true, timers, owner);
        cpu.WriteMmio(0xf0, 4, 0x1ff);
        router.IoApic.Write(0, 4, 0x10 + (2 * 17));
        router.IoApic.Write(0x10, 4, 0x45 | (1 << 15));
        var line = new InterruptLine(router, 17);
        const int Devices = 3;
        var work = new int[Devices];
        var done = new int[Devices];
        var sources = Enumerable.Range(0, Devices).Select(_ => line.CreateSource()).ToArray();
        bool stop = false;

        var receiver = new Thread(() =>
        {
            while (!Volatile.Read(ref stop))
            {
                owner.Signalled.Wait(100);
                owner.Signalled.Reset();
                while (cpu.Acknowledge() >= 0)
                {
                    // As a driver does: acknowledge at the device, then look for work, then end the interrupt.
                    for (int i = 0; i < Devices; i++)
                    {
                        sources[i].Set(false);
                        Volatile.Write(ref done[i], Volatile.Read(ref work[i]));
                    }

                    cpu.WriteMmio(0xb0, 4, 0);
                }
            }
        });
        receiver.Start();
        var failures = new System.Collections.Concurrent.ConcurrentQueue<string>();
        var devices = Enumerable.Range(0, Devices).Select(i => new Thread(() =>
        {
            for (int round = 1; round <= Rounds / 4; round++)
            {
                Volatile.Write(ref work[i], round);
                sources[i].Set(true);
                long start = Environment.TickCount64;
                while (Volatile.Read(ref done[i]) < round)
                {
                    if (Environment.TickCount64 - start > 120_000)
                    {
                        failures.Enqueue($"device {i} round {round}");
                        return;
                    }

                    Thread.Yield();
                }
            }
        })).ToArray();
        Array.ForEach(devices, device => device.Start());
        Array.ForEach(devices, device => device.Join());
        Volatile.Write(ref stop, true);
        receiver.Join();

        Assert.Empty(failures);
    }
}
