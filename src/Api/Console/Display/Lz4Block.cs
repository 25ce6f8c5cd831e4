using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace WebVm.Api.Console.Display;

/// <summary>
/// Compresses small blocks in the LZ4 block format (lz4, doc/lz4_Block_format.md): fast enough for every frame, and decoded in a few
/// lines of script. No allocation.
/// </summary>
internal static class Lz4Block
{
    private const int HashBits = 12;
    private const int MinimumMatch = 4;

    // The format's end conditions: the last match starts 12 bytes before the end, the last five bytes are literals.
    private const int LastMatchDistance = 12;
    private const int LastLiterals = 5;
    private const int LongestOffset = 65535;

    /// <summary>The most that <paramref name="length"/> bytes can become.</summary>
    public static int LargestOutput(int length) => length + (length / 255) + 16;

    /// <param name="table">4096 entries of scratch space, of any content.</param>
    /// <returns>Bytes written.</returns>
    public static int Compress(ReadOnlySpan<byte> source, Span<byte> destination, Span<int> table)
    {
        table = table[..(1 << HashBits)];
        table.Fill(-1);
        int written = 0;
        int anchor = 0;
        int position = 0;
        int lastMatchStart = source.Length - LastMatchDistance;
        while (position < lastMatchStart)
        {
            uint sequence = Read32(source, position);
            ref int slot = ref table[Hash(sequence)];
            int candidate = slot;
            slot = position;
            if (candidate < 0 || position - candidate > LongestOffset || Read32(source, candidate) != sequence)
            {
                // The longer nothing matches, the larger the steps.
                position += 1 + ((position - anchor) >> 6);
                continue;
            }

            int length = MinimumMatch
                + CommonLength(source[(candidate + MinimumMatch)..], source[(position + MinimumMatch)..(source.Length - LastLiterals)]);
            written += WriteSequence(destination[written..], source[anchor..position], position - candidate, length);
            position += length;
            anchor = position;
        }

        return written + WriteLastLiterals(destination[written..], source[anchor..]);
    }

    private static int WriteSequence(Span<byte> to, ReadOnlySpan<byte> literals, int offset, int length)
    {
        int extra = length - MinimumMatch;
        to[0] = (byte)((Math.Min(literals.Length, 15) << 4) | Math.Min(extra, 15));
        int at = 1 + WriteLength(to[1..], literals.Length);
        literals.CopyTo(to[at..]);
        at += literals.Length;
        BinaryPrimitives.WriteUInt16LittleEndian(to[at..], (ushort)offset);
        at += 2;
        return at + WriteLength(to[at..], extra);
    }

    private static int WriteLastLiterals(Span<byte> to, ReadOnlySpan<byte> literals)
    {
        to[0] = (byte)(Math.Min(literals.Length, 15) << 4);
        int at = 1 + WriteLength(to[1..], literals.Length);
        literals.CopyTo(to[at..]);
        return at + literals.Length;
    }

    private static int WriteLength(Span<byte> to, int length)
    {
        if (length < 15)
        {
            return 0;
        }

        int at = 0;
        for (length -= 15; length >= 255; length -= 255)
        {
            to[at++] = 255;
        }

        to[at++] = (byte)length;
        return at;
    }

    private static int CommonLength(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right)
    {
        int length = Math.Min(left.Length, right.Length);
        int i = 0;
        for (; i + 8 <= length; i += 8)
        {
            ulong difference = MemoryMarshal.Read<ulong>(left[i..]) ^ MemoryMarshal.Read<ulong>(right[i..]);
            if (difference != 0)
            {
                return i + (BitOperations.TrailingZeroCount(difference) >> 3);
            }
        }

        while (i < length && left[i] == right[i])
        {
            i++;
        }

        return i;
    }

    // Knuth's multiplicative hash.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static int Hash(uint sequence) => (int)((sequence * 2654435761u) >> (32 - HashBits));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static uint Read32(ReadOnlySpan<byte> source, int position) => MemoryMarshal.Read<uint>(source[position..]);
}
