using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using WebVm.Vmm.Devices.Display;
using WebVm.Vmm.Devices.Display.Bochs;
using WebVm.Vmm.Machine.Consoles;
using WebVm.Vmm.Memory;
using Xunit;

namespace WebVm.Vmm.Tests.Devices.Display;

public sealed class BochsDisplayTests : IDisposable
{
    private readonly GuestMemory _memory = new();
    private readonly BochsDisplay _display;
    private readonly Framebuffer _framebuffer;

    public BochsDisplayTests()
    {
        _display = new BochsDisplay(_memory, 1280, 800);
        _display.Input.Open();
        _display.Reset();
        _framebuffer = new Framebuffer(_memory, _display);
    }

    public void Dispose()
    {
        _framebuffer.Dispose();
        _memory.Dispose();
    }

    [Fact]
    public void It_looks_like_what_the_bochs_driver_of_Linux_wants()
    {
        Assert.Equal(0x1111_1234u, _display.Function.ReadConfig(0, 4));
        Assert.Equal(0x0380_0002u, _display.Function.ReadConfig(8, 4));
        Assert.Equal(0x1100_1af4u, _display.Function.ReadConfig(0x2c, 4));
        Assert.Equal(0xb0c5UL, _display.ReadMmio(0x500, 2));
        Assert.Equal(256UL, _display.ReadMmio(0x500 + 20, 2));
        Assert.Equal(8UL, _display.ReadMmio(0x600, 4));
        Assert.Equal(0x1e1e1e1eUL, _display.ReadMmio(0x604, 4));
    }

    [Fact]
    public void The_driver_sets_a_mode()
    {
        Assert.Null(_display.Mode);
        int version = _framebuffer.ModeVersion;
        Dispi(1, 800);
        Dispi(2, 600);
        Dispi(3, 32);
        Dispi(6, 1024);
        Dispi(9, 10);
        Dispi(8, 2);
        Dispi(4, 0x41);
        Assert.Equal(new DisplayMode(800, 600, 32, 4096, (10 * 4096) + 8), _display.Mode);
        Assert.NotEqual(version, _framebuffer.ModeVersion);
        Dispi(4, 0);
        Assert.Null(_display.Mode);
    }

    [Fact]
    public void No_value_of_the_registers_leads_out_of_the_display_memory()
    {
        int seed = Environment.TickCount;
        var random = new Random(seed);
        ushort[] interesting = [0, 1, 63, 64, 1024, 4096, 16384, 0x7fff, 0x8000, 0xffff];
        int valid = 0;
        for (int i = 0; i < 20_000; i++)
        {
            for (int register = 1; register < 11; register++)
            {
                Dispi(register, random.Next(3) == 0
                    ? (ushort)random.Next(65536)
                    : random.Next(2) == 0 ? (ushort)random.Next(2000) : interesting[random.Next(interesting.Length)]);
            }

            Dispi(3, new ushort[] { 8, 16, 24, 32 }[random.Next(4)]);
            Dispi(4, 1);
            if (_display.Mode is { } mode)
            {
                valid++;
                long end = mode.Offset + ((long)(mode.Height - 1) * mode.Stride) + ((long)mode.Width * mode.BytesPerPixel);
                Assert.True(
                    end <= (long)BochsDisplay.SmallestMemory && mode.Offset >= 0 && mode.Stride >= mode.Width * mode.BytesPerPixel,
                    $"seed {seed}: {mode}");
                Assert.Equal(mode.Width * mode.BytesPerPixel, _framebuffer.Line(mode, mode.Height - 1).Length);
            }
        }

        Assert.True(valid > 100, $"seed {seed}: only {valid} valid modes");
    }

    [Fact]
    public void Firmware_can_set_a_mode_and_impossible_ones_are_refused()
    {
        Assert.Equal(new DisplayMode(1024, 768, 32, 4096, 0), _display.SetMode(1024, 768));
        Assert.Throws<ArgumentException>(() => _display.SetMode(8192, 8192));
        Assert.Throws<ArgumentOutOfRangeException>(() => _display.SetMode(-1, 70000));
        Assert.Equal(1024, _display.Mode!.Value.Width);
    }

    [Fact]
    public void A_display_has_memory_enough_for_its_preferred_mode()
    {
        using var memory = new GuestMemory();
        var display = new BochsDisplay(memory, 3840, 2160);
        Assert.Equal(new DisplayMode(3840, 2160, 32, 15360, 0), display.SetMode(3840, 2160));
        Assert.Equal(32UL << 4, display.ReadMmio(0x500 + 20, 2));
    }

    [Fact]
    public void The_EDID_is_valid_and_prefers_the_given_mode()
    {
        byte[] edid = [.. Enumerable.Range(0, 128).Select(i => (byte)_display.ReadMmio((ulong)i, 1))];
        Assert.Equal(0, edid.Sum(value => value) % 256);
        Assert.Equal([0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00], edid[..8]);
        Assert.Equal((1, 4), (edid[18], edid[19]));
        Assert.Equal(1280, edid[56] | ((edid[58] & 0xf0) << 4));
        Assert.Equal(800, edid[59] | ((edid[61] & 0xf0) << 4));
        // VESA's own figure for 1280x800 with reduced blanking is 71 MHz.
        Assert.InRange(BinaryPrimitives.ReadUInt16LittleEndian(edid.AsSpan(54)), 7050, 7150);
        Assert.Contains("WebVm\n", Encoding.ASCII.GetString(edid), StringComparison.Ordinal);
        Assert.Equal(0UL, _display.ReadMmio(128, 4));

        Assert.True(_display.SetPreferredMode(1920, 1080));
        Assert.False(_display.SetPreferredMode(3840, 2160));
        Assert.False(_display.SetPreferredMode(10, 1080));
        Assert.False(_display.SetPreferredMode(1920, -1));
        Assert.Equal(1920UL, _display.ReadMmio(56, 1) | ((_display.ReadMmio(58, 1) & 0xf0) << 4));
        foreach (var (width, height) in new[] { (64, 64), (4095, 4095), (640, 480), (2560, 1600) })
        {
            Assert.Equal(0, Edid.Create(width, height, BochsDisplay.SmallestMemory).Sum(value => value) % 256);
        }
    }

    [Theory]
    [InlineData(16)]
    [InlineData(24)]
    [InlineData(32)]
    public void A_screenshot_shows_what_the_guest_drew_and_survives_as_PNG(int bits)
    {
        Assert.True(_memory.TryMap(_display.Memory, new GuestPhysicalAddress(0xd000_0000)));
        Dispi(1, 100);
        Dispi(2, 70);
        Dispi(3, (ushort)bits);
        Dispi(6, 128);
        Dispi(9, 3);
        Dispi(4, 0x41);
        var mode = _display.Mode!.Value;
        for (int y = 0; y < 70; y++)
        {
            for (int x = 0; x < 100; x++)
            {
                var (red, green, blue) = Colour(x, y);
                uint pixel = bits == 16
                    ? (uint)((red >> 3 << 11) | (green >> 2 << 5) | (blue >> 3))
                    : (uint)((red << 16) | (green << 8) | blue);
                byte[] raw = BitConverter.GetBytes(pixel);
                _memory.TryWrite(
                    new GuestPhysicalAddress(0xd000_0000 + (ulong)(mode.Offset + (y * mode.Stride) + (x * bits / 8))),
                    raw.AsSpan(0, bits / 8));
            }
        }

        var shot = _framebuffer.Capture()!;
        Assert.Equal((100, 70), (shot.Width, shot.Height));
        int tolerance = bits == 16 ? 8 : 0;
        for (int y = 0; y < 70; y++)
        {
            for (int x = 0; x < 100; x++)
            {
                var expected = Colour(x, y);
                var actual = shot[x, y];
                Assert.True(Math.Abs(expected.Red - actual.Red) <= tolerance && Math.Abs(expected.Green - actual.Green) <= tolerance
                    && Math.Abs(expected.Blue - actual.Blue) <= tolerance, $"pixel {x},{y}: {actual}, not {expected}");
            }
        }

        using var png = new MemoryStream();
        shot.WritePng(png);
        Assert.Equal(shot.Pixels.ToArray(), DecodePng(png.ToArray(), 100, 70));

        static (byte Red, byte Green, byte Blue) Colour(int x, int y) => ((byte)(x * 2), (byte)(y * 3), (byte)(x ^ y));
    }

    [Fact]
    public void Who_looks_after_the_end_is_told_and_sees_nothing()
    {
        _display.SetMode(640, 480);
        var publisher = new DisplayPublisher(_framebuffer);
        publisher.Dispose();
        _framebuffer.Dispose();
        Assert.Throws<ObjectDisposedException>(publisher.AddViewer);
        Assert.Throws<ObjectDisposedException>(() => { _framebuffer.Line(_display.Mode!.Value, 0); });
        Assert.Null(_framebuffer.Capture());
    }

    [Fact]
    public void White_in_16_bits_is_white()
    {
        Assert.True(_memory.TryMap(_display.Memory, new GuestPhysicalAddress(0xd000_0000)));
        _memory.TryFill(new GuestPhysicalAddress(0xd000_0000), 64 * 64 * 2, 0xff);
        Dispi(1, 64);
        Dispi(2, 64);
        Dispi(3, 16);
        Dispi(4, 1);
        Assert.Equal(((byte)255, (byte)255, (byte)255), _framebuffer.Capture()![63, 63]);
    }

    [Fact]
    public void Only_pages_that_the_guest_wrote_are_dirty()
    {
        Assert.True(_memory.TryMap(_display.Memory, new GuestPhysicalAddress(0xd000_0000)));
        using var watch = _framebuffer.Watch();
        ulong[] dirty = new ulong[watch.Words];
        _memory.TryWrite(new GuestPhysicalAddress(0xd000_0000 + (70 * 4096)), 1);
        watch.Collect(dirty);
        Assert.Equal(1UL << 6, dirty[1]);
        Array.Clear(dirty);
        watch.Collect(dirty);
        Assert.All(dirty, word => Assert.Equal(0UL, word));
        _memory.TryWrite(new GuestPhysicalAddress(0xd000_0000), 1);
        _memory.Unmap(_display.Memory);
        Assert.True(_memory.TryMap(_display.Memory, new GuestPhysicalAddress(0xd800_0000)));
        _memory.TryWrite(new GuestPhysicalAddress(0xd800_0000 + 4096), 1);
        watch.Collect(dirty);
        Assert.Equal(3UL, dirty[0]);
    }

    [Fact]
    public void Every_single_written_page_is_found_among_clean_ones()
    {
        Assert.True(_memory.TryMap(_display.Memory, new GuestPhysicalAddress(0xd000_0000)));
        using var watch = _framebuffer.Watch();
        ulong[] dirty = new ulong[watch.Words];
        for (int page = 0; page < _display.Memory.PageCount; page++)
        {
            Array.Clear(dirty);
            _memory.TryWrite(new GuestPhysicalAddress(0xd000_0000 + ((ulong)page * 4096) + 4095), (byte)1);
            watch.Collect(dirty);
            Assert.Equal(1UL << (page & 63), dirty[page >> 6]);
            Assert.Equal(1, dirty.Sum(word => System.Numerics.BitOperations.PopCount(word)));
        }
    }

    [Fact]
    public void State_survives_save_and_load()
    {
        _display.SetMode(800, 600);
        _display.SetPreferredMode(1920, 1080);
        var state = _display.Save();
        using var memory = new GuestMemory();
        var other = new BochsDisplay(memory);
        other.Load(state);
        Assert.Equal(_display.Mode, other.Mode);
        Assert.Equal(1920, other.PreferredWidth);
        Assert.Equivalent(state, other.Save(), strict: true);
        Assert.Throws<InvalidDataException>(() => other.Load(state with { Registers = [] }));
        Assert.Throws<InvalidDataException>(() => other.Load(state with { PreferredWidth = 0 }));
    }

    private void Dispi(int register, ushort value) => _display.WriteMmio(0x500 + ((ulong)register * 2), 2, value);

    /// <summary>A decoder that knows just enough, written from the standard and not from the encoder.</summary>
    private static byte[] DecodePng(byte[] file, int width, int height)
    {
        Assert.Equal([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a], file[..8]);
        using var data = new MemoryStream();
        string types = "";
        for (int at = 8; at < file.Length;)
        {
            int length = BinaryPrimitives.ReadInt32BigEndian(file.AsSpan(at));
            string type = Encoding.ASCII.GetString(file, at + 4, 4);
            types += type + " ";
            uint crc = uint.MaxValue;
            foreach (byte value in file.AsSpan(at + 4, length + 4))
            {
                crc ^= value;
                for (int bit = 0; bit < 8; bit++)
                {
                    crc = (crc >> 1) ^ (0xedb88320 & (uint)-(int)(crc & 1));
                }
            }

            Assert.Equal(~crc, BinaryPrimitives.ReadUInt32BigEndian(file.AsSpan(at + 8 + length)));
            if (type == "IHDR")
            {
                Assert.Equal(
                    (width, height), (BinaryPrimitives.ReadInt32BigEndian(
                        file.AsSpan(at + 8)), BinaryPrimitives.ReadInt32BigEndian(file.AsSpan(at + 12))));
                Assert.Equal([8, 2, 0, 0, 0], file[(at + 16)..(at + 21)]);
            }
            else if (type == "IDAT")
            {
                data.Write(file, at + 8, length);
            }

            at += length + 12;
        }

        Assert.Equal("IHDR IDAT IEND ", types);
        data.Position = 0;
        using var zlib = new ZLibStream(data, CompressionMode.Decompress);
        byte[] pixels = new byte[width * height * 3];
        byte[] line = new byte[1 + (width * 3)];
        for (int y = 0; y < height; y++)
        {
            zlib.ReadExactly(line);
            for (int i = 0; i < width * 3; i++)
            {
                int above = line[0] == 2 && y > 0 ? pixels[((y - 1) * width * 3) + i] : 0;
                pixels[(y * width * 3) + i] = (byte)(line[i + 1] + above);
            }
        }

        Assert.Equal(-1, zlib.ReadByte());
        return pixels;
    }
}
