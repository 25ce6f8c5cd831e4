using System.Buffers.Binary;
using System.Text;

namespace WebVm.Vmm.Devices.Display;

/// <summary>Describes a monitor to the guest: an EDID block (VESA E-EDID A2, EDID 1.4) made for a preferred mode.</summary>
public static class Edid
{
    /// <summary>Bytes.</summary>
    public const int Size = 128;

    /// <summary>Limits of the detailed timing's 12-bit fields.</summary>
    public const int MaximumWidth = 4095;
    public const int MaximumHeight = 4095;

    private const int RefreshRate = 60;

    // Reduced blanking of CVT 1.2 §3.4.2: fixed horizontal blanking, a minimum of 460 µs of vertical blanking.
    private const int HorizontalBlank = 160;
    private const int HorizontalFrontPorch = 48;
    private const int HorizontalSync = 32;
    private const int VerticalFrontPorch = 3;
    private const int MinimumVerticalBackPorch = 6;
    private const double MinimumVerticalBlankSeconds = 460e-6;

    private const double MillimetresPerPixel = 25.4 / 96;

    private static readonly (int Width, int Height, int Aspect)[] s_standardModes =
    [
        (1280, 720, 3), (1280, 800, 0), (1280, 1024, 2), (1440, 900, 0), (1600, 900, 3), (1600, 1200, 1), (1680, 1050, 0), (1920, 1080, 3),
    ];

    /// <summary>Makes the block.</summary>
    /// <param name="width">Preferred width in pixels, up to <see cref="MaximumWidth"/>.</param>
    /// <param name="height">Preferred height in lines, up to <see cref="MaximumHeight"/>.</param>
    /// <param name="memorySize">Bytes of display memory: larger modes are not offered.</param>
    /// <param name="name">The monitor's name, up to 13 ASCII characters.</param>
    public static byte[] Create(int width, int height, ulong memorySize, string name = "WebVm")
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 64);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(width, MaximumWidth);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 64);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(height, MaximumHeight);
        byte[] block = new byte[Size];
        block.AsSpan(1, 6).Fill(0xff);
        BinaryPrimitives.WriteUInt16BigEndian(block.AsSpan(8), ManufacturerId("WVM"));
        BinaryPrimitives.WriteUInt16LittleEndian(block.AsSpan(10), 1); // product
        block[17] = 2026 - 1990;
        block[18] = 1;
        block[19] = 4;
        block[20] = 0xa5; // digital, 8 bits per colour, DisplayPort
        int widthMillimetres = (int)(width * MillimetresPerPixel);
        int heightMillimetres = (int)(height * MillimetresPerPixel);
        block[21] = (byte)Math.Clamp(widthMillimetres / 10, 1, 255);
        block[22] = (byte)Math.Clamp(heightMillimetres / 10, 1, 255);
        block[23] = 120; // gamma 2.2
        block[24] = 0x06; // sRGB; the first detailed timing is the native mode
        WriteStandardColours(block.AsSpan(25, 10));
        block[35] = 0x21; // 640x480 and 800x600 at 60 Hz
        block[36] = 0x08; // 1024x768 at 60 Hz
        WriteStandardModes(block.AsSpan(38, 16), memorySize);
        WriteDetailedTiming(block.AsSpan(54, 18), width, height, widthMillimetres, heightMillimetres);
        WriteRangeLimits(block.AsSpan(72, 18));
        WriteText(block.AsSpan(90, 18), 0xfc, name);
        block[108 + 3] = 0x10; // an unused descriptor
        block[127] = (byte)-block.Aggregate(0, (sum, value) => sum + value);
        return block;
    }

    private static ushort ManufacturerId(string letters) =>
        (ushort)(((letters[0] - '@') << 10) | ((letters[1] - '@') << 5) | (letters[2] - '@'));

    /// <summary>Chromaticity of sRGB's primaries and white point, ten bits each (EDID 1.4 §3.7).</summary>
    private static void WriteStandardColours(Span<byte> field)
    {
        ReadOnlySpan<double> coordinates = [0.640, 0.330, 0.300, 0.600, 0.150, 0.060, 0.3127, 0.3290];
        for (int i = 0; i < coordinates.Length; i++)
        {
            int value = (int)Math.Round(coordinates[i] * 1024);
            field[2 + i] = (byte)(value >> 2);
            field[i / 4] |= (byte)((value & 3) << (6 - (i % 4 * 2)));
        }
    }

    private static void WriteStandardModes(Span<byte> field, ulong memorySize)
    {
        for (int i = 0; i < s_standardModes.Length; i++)
        {
            var (width, height, aspect) = s_standardModes[i];
            bool fits = (ulong)width * (ulong)height * 4 <= memorySize;
            field[2 * i] = fits ? (byte)((width / 8) - 31) : (byte)1;
            field[(2 * i) + 1] = fits ? (byte)((aspect << 6) | (RefreshRate - 60)) : (byte)1;
        }
    }

    private static void WriteDetailedTiming(Span<byte> field, int width, int height, int widthMillimetres, int heightMillimetres)
    {
        int verticalSync = (width * 3) == (height * 4) ? 4 : (width * 9) == (height * 16) ? 5 : (width * 10) == (height * 16) ? 6 : 7;
        double linePeriod = ((1.0 / RefreshRate) - MinimumVerticalBlankSeconds) / height;
        int verticalBlank = Math.Max(
            (int)(MinimumVerticalBlankSeconds / linePeriod) + 1, VerticalFrontPorch + verticalSync + MinimumVerticalBackPorch);
        long clock = (long)RefreshRate * (width + HorizontalBlank) * (height + verticalBlank);
        BinaryPrimitives.WriteUInt16LittleEndian(field, (ushort)Math.Min(clock / 10_000, ushort.MaxValue));
        field[2] = (byte)width;
        field[3] = HorizontalBlank;
        field[4] = (byte)((width >> 8 << 4) | (HorizontalBlank >> 8));
        field[5] = (byte)height;
        field[6] = (byte)verticalBlank;
        field[7] = (byte)((height >> 8 << 4) | (verticalBlank >> 8));
        field[8] = HorizontalFrontPorch;
        field[9] = HorizontalSync;
        field[10] = (byte)((VerticalFrontPorch << 4) | verticalSync);
        field[12] = (byte)widthMillimetres;
        field[13] = (byte)heightMillimetres;
        field[14] = (byte)(((widthMillimetres >> 8) << 4) | (heightMillimetres >> 8));
        field[17] = 0x1a; // separate digital syncs, horizontal positive, vertical negative: reduced blanking
    }

    private static void WriteRangeLimits(Span<byte> field)
    {
        field[3] = 0xfd;
        field[5] = 50; // Hz, vertical
        field[6] = 125;
        field[7] = 30; // kHz, horizontal
        field[8] = 160;
        field[9] = 66; // 10 MHz, pixel clock
        field[10] = 1; // range limits only
        field[11] = 0x0a;
        field[12..].Fill((byte)' ');
    }

    private static void WriteText(Span<byte> field, byte kind, string text)
    {
        field[3] = kind;
        var characters = field[5..];
        characters.Fill((byte)' ');
        int length = Encoding.ASCII.GetBytes(text.AsSpan(0, Math.Min(text.Length, characters.Length)), characters);
        if (length < characters.Length)
        {
            characters[length] = (byte)'\n';
        }
    }
}
