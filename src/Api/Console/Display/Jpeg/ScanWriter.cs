using System.Buffers.Binary;
using System.Numerics;

namespace WebVm.Api.Console.Display.Jpeg;

/// <summary>Writes entropy-coded blocks (T.81 F.1.2) into a buffer that is large enough for them (<see cref="LargestBlock"/>).</summary>
internal ref struct ScanWriter(Span<byte> buffer)
{
    /// <summary>Bytes of the longest block: 64 codes of 16 bits with 11 bits each, and every byte stuffed.</summary>
    public const int LargestBlock = 64 * 27 / 8 * 2;

    private const int EndOfBlock = 0x00;
    private const int SixteenZeros = 0xf0;
    private const int LongestRun = 15;

    private readonly Span<byte> _buffer = buffer;
    private ulong _bits;
    private int _count;
    private int _length;

    /// <param name="coefficients">64, quantized, in zig-zag order.</param>
    /// <param name="before">The first coefficient of the component's block before; 0 at the start of a restart interval
    /// (F.1.1.5.1).</param>
    public void WriteBlock(scoped ReadOnlySpan<int> coefficients, int before, HuffmanTable first, HuffmanTable others)
    {
        coefficients = coefficients[..JpegTables.BlockSize];
        WriteValue(0, coefficients[0] - before, first);
        int zeros = 0;
        for (int i = 1; i < coefficients.Length; i++)
        {
            int value = coefficients[i];
            if (value == 0)
            {
                zeros++;
                continue;
            }

            for (; zeros > LongestRun; zeros -= LongestRun + 1)
            {
                Write(others.Code(SixteenZeros), others.Length(SixteenZeros));
            }

            WriteValue(zeros, value, others);
            zeros = 0;
        }

        if (zeros > 0)
        {
            Write(others.Code(EndOfBlock), others.Length(EndOfBlock));
        }
    }

    /// <summary>Fills the last byte with ones (F.1.2.3).</summary>
    /// <returns>Bytes written in all.</returns>
    public int End()
    {
        int missing = -_count & 7;
        Write((1u << missing) - 1, missing);
        for (; _count > 0; _count -= 8)
        {
            WriteByte((byte)(_bits >> (_count - 8)));
        }

        return _length;
    }

    /// <summary>
    /// A run of zeros and what ends it: the size in bits of the value, then the value, negative ones less one (F.1.2.1.2, F.1.2.2.1).
    /// </summary>
    private void WriteValue(int zeros, int value, HuffmanTable table)
    {
        int size = 32 - BitOperations.LeadingZeroCount((uint)Math.Abs(value));
        int symbol = (zeros << 4) | size;
        uint bits = (uint)(value + (value >> 31)) & ((1u << size) - 1);
        Write((table.Code(symbol) << size) | bits, table.Length(symbol) + size);
    }

    private void Write(uint bits, int count)
    {
        _bits = (_bits << count) | bits;
        _count += count;
        if (_count >= 32)
        {
            Flush();
        }
    }

    // Four bytes at a time; one by one when a byte of ones is among them, which is followed by a zero so that it is no marker (F.1.2.3).
    private void Flush()
    {
        _count -= 32;
        uint word = (uint)(_bits >> _count);
        if (((~word - 0x01010101) & word & 0x80808080) == 0)
        {
            BinaryPrimitives.WriteUInt32BigEndian(_buffer[_length..], word);
            _length += sizeof(uint);
            return;
        }

        for (int shift = 24; shift >= 0; shift -= 8)
        {
            WriteByte((byte)(word >> shift));
        }
    }

    private void WriteByte(byte value)
    {
        _buffer[_length++] = value;
        if (value == 0xff)
        {
            _buffer[_length++] = 0;
        }
    }
}
