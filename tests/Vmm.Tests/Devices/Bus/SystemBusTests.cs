using Xunit;
using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Tests.Devices.Bus;

public class SystemBusTests
{
    private readonly SystemBus _bus = new();

    [Fact]
    public void A_hole_reads_as_all_ones_and_swallows_writes()
    {
        _bus.WritePort(0x1234, 4, 0xdeadbeef);
        _bus.WriteMmio(new GuestPhysicalAddress(0xd000_0000), 8, 1);

        Assert.Equal(0xffu, _bus.ReadPort(0x1234, 1));
        Assert.Equal(0xffffu, _bus.ReadPort(0x1234, 2));
        Assert.Equal(0xffff_ffffu, _bus.ReadPort(0xfffe, 4));
        Assert.Equal(ulong.MaxValue, _bus.ReadMmio(new GuestPhysicalAddress(0xd000_0000), 8));
        Assert.Equal(ulong.MaxValue, _bus.ReadMmio(new GuestPhysicalAddress(ulong.MaxValue), 8));
        Assert.True(_bus.UnclaimedPorts > 0 && _bus.UnclaimedMmio > 0);
    }

    [Fact]
    public void A_handler_sees_offsets_from_its_window()
    {
        var device = new RecordingHandler();
        _bus.Add(new PortWindow(0x100, 4, device), "test");
        _bus.Add(new MmioWindow(new GuestPhysicalAddress(0x8000_0000), 0x1000, device), "test");

        _bus.WritePort(0x102, 2, 0xabcd);
        _bus.WriteMmio(new GuestPhysicalAddress(0x8000_0ff8), 8, 0x1122334455667788);

        Assert.Equal(["out 2 2 abcd", "store ff8 8 1122334455667788"], device.Log);
    }

    [Fact]
    public void A_port_access_wider_than_a_window_is_split_between_its_neighbours()
    {
        var left = new RecordingHandler(0x11);
        var right = new RecordingHandler(0x22);
        _bus.Add(new PortWindow(0x100, 1, left), "left");
        _bus.Add(new PortWindow(0x102, 2, right), "right");

        Assert.Equal(0x2222ff11u, _bus.ReadPort(0x100, 4));
        _bus.WritePort(0x100, 4, 0x44332211);

        Assert.Equal(["in 0 1", "out 0 1 11"], left.Log);
        Assert.Equal(["in 0 2", "out 0 2 4433"], right.Log);
    }

    [Fact]
    public void A_window_of_byte_registers_never_sees_a_wide_access()
    {
        var device = new RecordingHandler(0x5a);
        _bus.Add(new PortWindow(0x60, 8, device) { Width = 1 }, "bytes");
        _bus.Add(new MmioWindow(new GuestPhysicalAddress(0x9000_0000), 16, device) { Width = 4 }, "words");

        Assert.Equal(0x5a5a5a5au, _bus.ReadPort(0x62, 4));
        Assert.Equal(0x5a5a5a5a_5a5a5a5aUL, _bus.ReadMmio(new GuestPhysicalAddress(0x9000_0002), 8));

        Assert.Equal(["in 2 1", "in 3 1", "in 4 1", "in 5 1", "load 2 2", "load 4 4", "load 8 2"], device.Log);
    }

    [Fact]
    public void An_mmio_access_over_the_end_of_a_window_reaches_the_next()
    {
        var first = new RecordingHandler(0x11);
        var second = new RecordingHandler(0x22);
        _bus.Add(new MmioWindow(new GuestPhysicalAddress(0x1000), 0x1000, first), "first");
        _bus.Add(new MmioWindow(new GuestPhysicalAddress(0x2000), 0x1000, second), "second");

        Assert.Equal(0x22222222_11111111UL, _bus.ReadMmio(new GuestPhysicalAddress(0x1ffc), 8));
        Assert.Equal(0xffff_ffff_ffff_ff22UL, _bus.ReadMmio(new GuestPhysicalAddress(0x2fff), 8));
    }

    [Fact]
    public void The_platform_keeps_its_registers_when_a_relocatable_window_is_laid_over_them()
    {
        var platform = new RecordingHandler(0x11);
        var bar = new RecordingHandler(0x22);
        _bus.Add(new MmioWindow(new GuestPhysicalAddress(0x2000), 0x1000, platform), "platform");
        _bus.Add(new PortWindow(0x60, 1, platform), "platform");
        var memory = _bus.Add(new MmioWindow(new GuestPhysicalAddress(0x1000), 0x4000, bar), "bar", WindowPrecedence.Relocatable);
        var ports = _bus.Add(new PortWindow(0x40, 0x40, bar), "bar", WindowPrecedence.Relocatable);

        Assert.Equal(0x22u, _bus.ReadMmio(new GuestPhysicalAddress(0x1fff), 1));
        Assert.Equal(0x11u, _bus.ReadMmio(new GuestPhysicalAddress(0x2000), 1));
        Assert.Equal(0x22u, _bus.ReadMmio(new GuestPhysicalAddress(0x3000), 1));
        Assert.Contains("load 2000 1", bar.Log);
        Assert.Equal(0x22112222u, _bus.ReadPort(0x5e, 4));
        _bus.Remove(memory);
        _bus.Remove(ports);
        Assert.Equal(0xffu, _bus.ReadMmio(new GuestPhysicalAddress(0x3000), 1));
        Assert.Equal(0x11u, _bus.ReadMmio(new GuestPhysicalAddress(0x2000), 1));
        Assert.Equal(0xffu, _bus.ReadPort(0x61, 1));
        Assert.Equal(0x11u, _bus.ReadPort(0x60, 1));
    }

    [Fact]
    public void Of_two_relocatable_windows_the_younger_appears_when_the_older_goes()
    {
        var older = _bus.Add(new PortWindow(0x1000, 8, new RecordingHandler(1)), "older", WindowPrecedence.Relocatable);
        _bus.Add(new PortWindow(0x1004, 8, new RecordingHandler(2)), "younger", WindowPrecedence.Relocatable);

        Assert.Equal(1u, _bus.ReadPort(0x1004, 1));
        _bus.Remove(older);
        Assert.Equal(2u, _bus.ReadPort(0x1004, 1));
        Assert.Equal(0xffu, _bus.ReadPort(0x1003, 1));
    }

    [Fact]
    public void Two_platform_windows_may_not_overlap()
    {
        _bus.Add(new PortWindow(0x70, 2, new RecordingHandler()), "rtc");
        var collision = Assert.Throws<ArgumentException>(() => _bus.Add(new PortWindow(0x71, 1, new RecordingHandler()), "other"));
        Assert.Contains("rtc", collision.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => _bus.Add(new PortWindow(0xffff, 2, new RecordingHandler()), "beyond"));
        Assert.Throws<ArgumentException>(
            () => _bus.Add(new MmioWindow(new GuestPhysicalAddress(ulong.MaxValue), 2, new RecordingHandler()), "beyond"));
    }

    [Fact]
    public void A_handler_that_throws_loses_its_window_and_harms_nobody()
    {
        var faults = new List<string>();
        _bus.Faulted += (window, exception) => faults.Add($"{window.Owner}: {exception.Message}");
        _bus.Add(new PortWindow(0x10, 1, new ThrowingHandler()), "broken");
        _bus.Add(new PortWindow(0x11, 1, new RecordingHandler(7)), "well");

        Assert.Equal(0x07ffu, _bus.ReadPort(0x10, 2));
        Assert.Equal(0xffu, _bus.ReadPort(0x10, 1));
        Assert.Equal(["broken: planted"], faults);
    }

    [Fact]
    public void Removing_and_draining_a_window_waits_for_the_access_inside()
    {
        using var inside = new ManualResetEventSlim();
        using var go = new ManualResetEventSlim();
        var window = _bus.Add(new PortWindow(0x10, 1, new BlockingHandler(inside, go)), "slow");
        var access = new Thread(() => _bus.ReadPort(0x10, 1));
        access.Start();
        inside.Wait();

        _bus.Remove(window);
        var drain = new Thread(window.Drain);
        drain.Start();
        Assert.False(drain.Join(50));
        Assert.Equal(0xffu, _bus.ReadPort(0x10, 1));
        go.Set();
        Assert.True(drain.Join(10_000));
        access.Join();
    }

    [Fact]
    public void Windows_come_and_go_under_fire_from_several_threads()
    {
        var stop = false;
        var wrong = 0;
        var stable = new RecordingHandler(0x33, log: false);
        _bus.Add(new MmioWindow(new GuestPhysicalAddress(0x5000), 0x100, stable), "stable");
        _bus.Add(new PortWindow(0x80, 1, stable), "stable");
        var readers = Enumerable.Range(0, 3).Select(_ => new Thread(() =>
        {
            while (!Volatile.Read(ref stop))
            {
                ulong moving = _bus.ReadMmio(new GuestPhysicalAddress(0x5100), 1);
                if (_bus.ReadMmio(new GuestPhysicalAddress(0x50f0), 4) != 0x33333333 || _bus.ReadPort(0x80, 1) != 0x33
                    || moving is not (0x44 or 0xff))
                {
                    Interlocked.Increment(ref wrong);
                }
            }
        })).ToArray();
        Array.ForEach(readers, reader => reader.Start());
        for (int i = 0; i < 2000; i++)
        {
            var handler = new RecordingHandler(0x44, log: false);
            var memory = _bus.Add(new MmioWindow(new GuestPhysicalAddress(0x5080), 0x100, handler), "moving", WindowPrecedence.Relocatable);
            var ports = _bus.Add(new PortWindow(0x70, 0x20, handler), "moving", WindowPrecedence.Relocatable);
            _bus.Remove(memory);
            _bus.Remove(ports);
            memory.Drain();
            long accesses = handler.Accesses;
            Thread.Yield();
            Assert.Equal(accesses, handler.Accesses);
        }

        Volatile.Write(ref stop, true);
        Array.ForEach(readers, reader => reader.Join());
        Assert.Equal(0, wrong);
        Assert.Equal(2, _bus.Windows.Count);
    }

    [Fact]
    public void Dispatch_allocates_nothing()
    {
        _bus.Add(new PortWindow(0x80, 1, new RecordingHandler(1, log: false)), "port");
        _bus.Add(new MmioWindow(new GuestPhysicalAddress(0x5000), 0x100, new RecordingHandler(1, log: false)), "memory");
        Burst();
        Allocations.UntilNone(Burst);

        void Burst()
        {
            for (uint i = 0; i < 10_000; i++)
            {
                _bus.WritePort(0x80, 1, i);
                _bus.ReadPort(0x7f, 4);
                _bus.ReadMmio(new GuestPhysicalAddress(0x5000 + (i & 0x1ff)), 8);
                _bus.WriteMmio(new GuestPhysicalAddress(0x4ffd), 8, i);
            }
        }
    }

    private sealed class RecordingHandler(byte fill = 0, bool log = true) : IPortHandler, IMmioHandler
    {
        private long _accesses;

        public List<string> Log { get; } = [];

        public long Accesses => Interlocked.Read(ref _accesses);

        public uint ReadPort(int offset, int size)
        {
            Note("in", (ulong)offset, size);
            return fill * 0x01010101u;
        }

        public void WritePort(int offset, int size, uint value) => Note("out", (ulong)offset, size, value);

        public ulong ReadMmio(ulong offset, int size)
        {
            Note("load", offset, size);
            return fill * 0x0101010101010101UL;
        }

        public void WriteMmio(ulong offset, int size, ulong value) => Note("store", offset, size, value);

        private void Note(string kind, ulong offset, int size, ulong? value = null)
        {
            Interlocked.Increment(ref _accesses);
            if (log)
            {
                Log.Add(value is null ? $"{kind} {offset:x} {size}" : $"{kind} {offset:x} {size} {value:x}");
            }
        }
    }

    private sealed class ThrowingHandler : IPortHandler
    {
        public uint ReadPort(int offset, int size) => throw new InvalidOperationException("planted");

        public void WritePort(int offset, int size, uint value) => throw new InvalidOperationException("planted");
    }

    private sealed class BlockingHandler(ManualResetEventSlim inside, ManualResetEventSlim go) : IPortHandler
    {
        public uint ReadPort(int offset, int size)
        {
            inside.Set();
            go.Wait();
            return 0;
        }

        public void WritePort(int offset, int size, uint value)
        {
        }
    }
}
