using System.Buffers.Binary;
using System.IO.Compression;

namespace WebVm.Vmm.Pictures;

/// <summary>Writes pictures as PNG (ISO/IEC 15948): 8-bit true colour, one image data chunk.</summary>
internal static class PngEncoder
{
    private const byte TrueColour = 2;
    private const byte BitDepth = 8;

    /// <summary>The filter "up" (§9.2) stores differences to the line above: screens repeat themselves.</summary>
    private const byte FilterUp = 2;

    private static readonly uint[] s_crcTable = MakeCrcTable();

    public static void Write(Stream destination, Screenshot picture)
    {
        destination.Write([0x89, (byte)'P', (byte)'N', (byte)'G', 0x0d, 0x0a, 0x1a, 0x0a]);
        byte[] header = new byte[13];
        BinaryPrimitives.WriteInt32BigEndian(header, picture.Width);
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(4), picture.Height);
        header[8] = BitDepth;
        header[9] = TrueColour;
        WriteChunk(destination, "IHDR"u8, header);
        WriteChunk(destination, "IDAT"u8, Compress(picture));
        WriteChunk(destination, "IEND"u8, []);
    }

    private static ReadOnlySpan<byte> Compress(Screenshot picture)
    {
        using var compressed = new MemoryStream();
        using (var zlib = new ZLibStream(compressed, CompressionLevel.Optimal, leaveOpen: true))
        {
            byte[] filtered = new byte[1 + (picture.Width * Screenshot.BytesPerPixel)];
            byte[] above = new byte[filtered.Length - 1];
            filtered[0] = FilterUp;
            for (int y = 0; y < picture.Height; y++)
            {
                var line = picture.Line(y);
                for (int i = 0; i < line.Length; i++)
                {
                    filtered[i + 1] = (byte)(line[i] - above[i]);
                }

                line.CopyTo(above);
                zlib.Write(filtered);
            }
        }

        return compressed.ToArray();
    }

    private static void WriteChunk(Stream destination, ReadOnlySpan<byte> type, ReadOnlySpan<byte> data)
    {
        Span<byte> number = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(number, data.Length);
        destination.Write(number);
        destination.Write(type);
        destination.Write(data);
        BinaryPrimitives.WriteUInt32BigEndian(number, ~Crc(Crc(uint.MaxValue, type), data));
        destination.Write(number);
    }

    /// <summary>CRC-32 of ISO 3309 (PNG annex D), before the final complement.</summary>
    private static uint Crc(uint crc, ReadOnlySpan<byte> data)
    {
        foreach (byte value in data)
        {
            crc = s_crcTable[(crc ^ value) & 0xff] ^ (crc >> 8);
        }

        return crc;
    }

    private static uint[] MakeCrcTable()
    {
        uint[] table = new uint[256];
        for (uint n = 0; n < 256; n++)
        {
            uint value = n;
            for (int bit = 0; bit < 8; bit++)
            {
                value = (value & 1) != 0 ? 0xedb88320 ^ (value >> 1) : value >> 1;
            }

            table[n] = value;
        }

        return table;
    }
}
