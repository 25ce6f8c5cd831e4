using WebVm.Vmm.Devices.Serial;
using WebVm.Vmm.Tests.Devices.Doubles;
using Xunit;

namespace WebVm.Vmm.Tests.Devices.Serial;

public sealed class SerialChannelTests
{
    [Fact]
    public void A_slow_reader_holds_the_guest_back_and_loses_nothing()
    {
        using var channel = new SerialChannel(outputCapacity: 32);
        var uart = new Uart16550("uart0", 0x3f8, new RecordingRouter().Line(4), channel);
        uart.Start();
        uart.WritePort(2, 1, 1);
        var received = new List<byte>();
        byte[] buffer = new byte[7];
        for (int sent = 0; sent < 1000;)
        {
            while (sent < 1000 && (uart.ReadPort(5, 1) & 0x20) != 0)
            {
                uart.WritePort(0, 1, (byte)sent++);
            }

            int count = channel.Read(buffer, TimeSpan.Zero);
            received.AddRange(buffer[..count]);
        }

        for (int count; (count = channel.Read(buffer, TimeSpan.Zero)) > 0;)
        {
            received.AddRange(buffer[..count]);
        }

        Assert.Equal(Enumerable.Range(0, 1000).Select(i => (byte)i), received);
    }

    [Fact]
    public void A_channel_that_discards_keeps_the_newest_output()
    {
        using var channel = new SerialChannel(outputCapacity: 4) { DiscardWhenFull = true };
        for (byte i = 0; i < 10; i++)
        {
            Assert.Equal(1, channel.Send([i]));
        }

        byte[] buffer = new byte[16];
        Assert.Equal(4, channel.Read(buffer, TimeSpan.Zero));
        Assert.Equal([6, 7, 8, 9], buffer[..4]);
        Assert.Equal(6, channel.Discarded);
    }

    [Fact]
    public void Input_from_another_thread_arrives_complete_and_in_order()
    {
        using var channel = new SerialChannel(inputCapacity: 50);
        var uart = new Uart16550("uart0", 0x3f8, new RecordingRouter().Line(4), channel);
        uart.WritePort(2, 1, 1);
        uart.Start();
        var writer = new Thread(() =>
        {
            byte[] data = [.. Enumerable.Range(0, 5000).Select(i => (byte)i)];
            for (int done = 0; done < data.Length;)
            {
                int taken = channel.Write(data.AsSpan(done));
                done += taken;
                if (taken == 0)
                {
                    Thread.Yield();
                }
            }
        });
        writer.Start();
        var received = new List<byte>();
        while (received.Count < 5000)
        {
            if ((uart.ReadPort(5, 1) & 1) != 0)
            {
                received.Add((byte)uart.ReadPort(0, 1));
            }
            else
            {
                Thread.Yield();
                if (!writer.IsAlive && (uart.ReadPort(5, 1) & 1) == 0)
                {
                    break;
                }
            }
        }

        writer.Join();
        Assert.Equal(Enumerable.Range(0, 5000).Select(i => (byte)i), received);
    }

    [Fact]
    public void Closing_a_channel_frees_a_guest_that_waits_and_a_reader_that_sleeps()
    {
        var channel = new SerialChannel(outputCapacity: 1);
        var uart = new Uart16550("uart0", 0x3f8, new RecordingRouter().Line(4), channel);
        uart.Start();
        uart.WritePort(0, 1, 'a');
        uart.WritePort(0, 1, 'b');
        Assert.Equal(0u, uart.ReadPort(5, 1) & 0x20);
        channel.Read(new byte[1], TimeSpan.Zero);
        channel.Read(new byte[1], TimeSpan.Zero);
        var reader = new Thread(() => channel.Read(new byte[1], TimeSpan.FromSeconds(60)));
        reader.Start();
        channel.Dispose();
        Assert.True(reader.Join(10_000));
        uart.WritePort(0, 1, 'c');
        Assert.Equal(0x20u, uart.ReadPort(5, 1) & 0x20);
    }
}
