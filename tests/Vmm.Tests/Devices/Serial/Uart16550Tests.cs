using System.Text;
using WebVm.Vmm.Devices.Serial;
using WebVm.Vmm.Devices.Serial.Uart;
using WebVm.Vmm.Tests.Devices.Doubles;
using Xunit;

namespace WebVm.Vmm.Tests.Devices.Serial;

public sealed class Uart16550Tests
{
    private const int Rbr = 0, Ier = 1, Iir = 2, Lcr = 3, Mcr = 4, Lsr = 5, Msr = 6, Scr = 7;
    private const byte Out2 = 8;
    private readonly RecordingRouter _router = new();
    private readonly ScriptedBackend _backend = new();
    private readonly Uart16550 _uart;

    public Uart16550Tests()
    {
        _uart = new Uart16550("uart0", 0x3f8, _router.Line(4), _backend);
        _uart.Input.Open();
        _uart.Start();
    }

    [Fact]
    public void What_the_guest_writes_reaches_the_back_end_in_order()
    {
        Write(Encoding.ASCII.GetBytes("hello"));
        Assert.Equal("hello", Encoding.ASCII.GetString([.. _backend.Sent]));
        Assert.Equal(0x60, In(Lsr) & 0x60);
    }

    [Fact]
    public void A_back_end_that_takes_nothing_keeps_the_transmitter_busy_until_it_does()
    {
        Out(Iir, 1);
        Out(Mcr, Out2);
        _backend.Room = 0;
        Write([1, 2, 3]);
        Assert.Equal(0, In(Lsr) & 0x60);
        Out(Ier, 2);
        Assert.False(_router[4]);

        _backend.Room = 2;
        _uart.OutputReady();
        Assert.Equal([1, 2], _backend.Sent);
        Assert.Equal(0, In(Lsr) & 0x20);
        _backend.Room = 100;
        _uart.OutputReady();
        Assert.Equal([1, 2, 3], _backend.Sent);
        Assert.Equal(0x60, In(Lsr) & 0x60);
        Assert.True(_router[4]);
        Assert.Equal(0xc2, In(Iir));
        Assert.False(_router[4]);
    }

    [Fact]
    public void Enabling_the_transmitter_interrupt_while_empty_raises_it_each_time()
    {
        Out(Mcr, Out2);
        for (int i = 0; i < 2; i++)
        {
            Out(Ier, 2);
            Assert.True(_router[4]);
            Assert.Equal(2, In(Iir));
            Assert.Equal(1, In(Iir));
            Assert.False(_router[4]);
            Out(Ier, 0);
        }
    }

    [Fact]
    public void Every_burst_of_an_interrupt_driven_transmitter_makes_an_edge()
    {
        Out(Iir, 1);
        Out(Mcr, Out2);
        Out(Ier, 2);
        for (int i = 1; i <= 5; i++)
        {
            Assert.Equal(i, _router.Edges);
            Assert.Equal(0xc2, In(Iir));
            Write(new byte[16]);
        }
    }

    [Fact]
    public void Received_data_below_the_trigger_level_is_a_timeout_and_at_the_level_it_is_available()
    {
        Out(Iir, 0x81); // trigger at 8
        Out(Mcr, Out2);
        Out(Ier, 1);
        Assert.Equal(7, _uart.Deliver(new byte[7]));
        Assert.True(_router[4]);
        Assert.Equal(0xcc, In(Iir));
        _uart.Deliver([9]);
        Assert.Equal(0xc4, In(Iir));
        for (int i = 0; i < 8; i++)
        {
            Assert.Equal(1, In(Lsr) & 1);
            In(Rbr);
        }

        Assert.Equal(0, In(Lsr) & 1);
        Assert.False(_router[4]);
        Assert.Equal(0xc1, In(Iir));
    }

    [Fact]
    public void Input_is_bounded_and_the_back_end_hears_when_there_is_room()
    {
        Out(Iir, 1);
        Assert.Equal(16, _uart.Deliver(new byte[20]));
        Assert.Equal(0, _uart.Deliver([1]));
        int before = _backend.InputReadyCalls;
        for (int i = 0; i < 16; i++)
        {
            In(Rbr);
        }

        Assert.Equal(before + 1, _backend.InputReadyCalls);
        Assert.Equal(1, _uart.Deliver([1]));
    }

    [Fact]
    public void Without_OUT2_no_interrupt_leaves_the_chip()
    {
        Out(Ier, 1);
        _uart.Deliver([1]);
        Assert.Equal(4, In(Iir));
        Assert.False(_router[4]);
        Out(Mcr, Out2);
        Assert.True(_router[4]);
    }

    [Fact]
    public void Loopback_connects_outputs_to_inputs_as_drivers_probe()
    {
        Out(Mcr, 0x1a);
        Assert.Equal(0x90, In(Msr) & 0xf0);
        Out(Mcr, 0x10 | 0x05);
        Assert.Equal(0x60, In(Msr) & 0xf0);
        Out(Mcr, 0x10);
        Assert.Equal(0x06, In(Msr) & 0x0f);
        Out(Rbr, 0x5a);
        Assert.Equal(0x5a, In(Rbr));
        Assert.Empty(_backend.Sent);
        Out(Rbr, 1);
        Out(Rbr, 2);
        Assert.Equal(2, In(Lsr) & 2);
        Assert.Equal(0, In(Lsr) & 2);
    }

    [Fact]
    public void It_is_recognised_as_a_16550A_and_nothing_newer()
    {
        Out(Ier, 0xff);
        Assert.Equal(0x0f, In(Ier));
        Out(Scr, 0xa5);
        Assert.Equal(0xa5, In(Scr));
        Out(Iir, 1);
        Assert.Equal(0xc0, In(Iir) & 0xf0);
        Out(Lcr, 0xbf); // a 16650's extended features would appear at the FCR
        Out(Iir, 0);
        Out(Lcr, 0x80);
        Out(Rbr, 0x01);
        Out(Ier, 0x00);
        Assert.Equal(1, In(Rbr));
        Out(Iir, 0x21); // a 16750's 64-byte FIFO
        Assert.Equal(0, In(Iir) & 0x20);
    }

    [Fact]
    public void A_break_is_a_line_status_interrupt_with_a_zero_character()
    {
        Out(Mcr, Out2);
        Out(Ier, 4);
        _uart.SendBreak();
        Assert.True(_router[4]);
        Assert.Equal(6, In(Iir));
        Assert.Equal(0x11, In(Lsr) & 0x11);
        Assert.False(_router[4]);
        Assert.Equal(0, In(Rbr));
    }

    [Fact]
    public void Losing_the_carrier_is_a_modem_status_interrupt()
    {
        Out(Mcr, Out2);
        Out(Ier, 8);
        In(Msr);
        _uart.SetCarrier(false);
        Assert.True(_router[4]);
        Assert.Equal(0x38, In(Msr));
        Assert.False(_router[4]);
    }

    [Fact]
    public void State_survives_save_and_load()
    {
        Out(Iir, 0xc1);
        Out(Mcr, Out2 | 3);
        Out(Ier, 5);
        Out(Scr, 0x77);
        _uart.Deliver([1, 2, 3]);
        _backend.Room = 0;
        Write([4, 5]);
        var state = _uart.Save();

        var otherRouter = new RecordingRouter();
        var otherBackend = new ScriptedBackend();
        var other = new Uart16550("uart0", 0x3f8, otherRouter.Line(4), otherBackend);
        other.Load(state);
        Assert.Equivalent(state, other.Save(), strict: true);
        Assert.True(otherRouter[4]);
        other.Start();
        Assert.Equal([4, 5], otherBackend.Sent);
        Assert.Equal(1u, other.ReadPort(Rbr, 1));
        Assert.Equal(0x77u, other.ReadPort(Scr, 1));
        Assert.Throws<InvalidDataException>(() => other.Load(state with { Received = new byte[17] }));
    }

    private byte In(int register) => (byte)_uart.ReadPort(register, 1);

    private void Out(int register, int value) => _uart.WritePort(register, 1, (uint)value);

    private void Write(byte[] data)
    {
        foreach (byte value in data)
        {
            Out(Rbr, value);
        }
    }

    private sealed class ScriptedBackend : ISerialBackend
    {
        public List<byte> Sent { get; } = [];

        public int Room { get; set; } = int.MaxValue;

        public int InputReadyCalls { get; private set; }

        public int Send(ReadOnlySpan<byte> data)
        {
            int taken = Math.Min(data.Length, Room);
            Sent.AddRange(data[..taken]);
            Room -= taken;
            return taken;
        }

        public void InputReady() => InputReadyCalls++;

        public void Connect(ISerialPort port)
        {
        }
    }
}
