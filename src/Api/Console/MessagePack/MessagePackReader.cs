using System.Buffers.Binary;
using System.Text;

namespace WebVm.Api.Console.MessagePack;

/// <summary>Reads MessagePack from a client that is not trusted: every length is checked against what is there.</summary>
internal ref struct MessagePackReader(ReadOnlySpan<byte> data)
{
    private const int DeepestNesting = 8;

    private ReadOnlySpan<byte> _rest = data;

    public readonly bool AtEnd => _rest.IsEmpty;

    public bool TryReadNil()
    {
        if (_rest.IsEmpty || _rest[0] != 0xc0)
        {
            return false;
        }

        _rest = _rest[1..];
        return true;
    }

    public bool ReadBoolean() => Take(1)[0] switch
    {
        0xc2 => false,
        0xc3 => true,
        var other => throw Unexpected("a boolean", other),
    };

    public long ReadInteger()
    {
        byte head = Take(1)[0];
        return head switch
        {
            <= 0x7f => head,
            >= 0xe0 => (sbyte)head,
            0xcc => Take(1)[0],
            0xcd => BinaryPrimitives.ReadUInt16BigEndian(Take(2)),
            0xce => BinaryPrimitives.ReadUInt32BigEndian(Take(4)),
            0xcf => checked((long)BinaryPrimitives.ReadUInt64BigEndian(Take(8))),
            0xd0 => (sbyte)Take(1)[0],
            0xd1 => BinaryPrimitives.ReadInt16BigEndian(Take(2)),
            0xd2 => BinaryPrimitives.ReadInt32BigEndian(Take(4)),
            0xd3 => BinaryPrimitives.ReadInt64BigEndian(Take(8)),

            // JavaScript has one kind of number: an integral one may come as a float.
            0xca => Integral(BinaryPrimitives.ReadSingleBigEndian(Take(4))),
            0xcb => Integral(BinaryPrimitives.ReadDoubleBigEndian(Take(8))),
            _ => throw Unexpected("an integer", head),
        };
    }

    public double ReadDouble()
    {
        if (!_rest.IsEmpty && _rest[0] is 0xca or 0xcb)
        {
            return Take(1)[0] == 0xca ? BinaryPrimitives.ReadSingleBigEndian(Take(4)) : BinaryPrimitives.ReadDoubleBigEndian(Take(8));
        }

        return ReadInteger();
    }

    public string? ReadString()
    {
        if (TryReadNil())
        {
            return null;
        }

        byte head = Take(1)[0];
        int length = head switch
        {
            >= 0xa0 and <= 0xbf => head & 0x1f,
            0xd9 => Take(1)[0],
            0xda => BinaryPrimitives.ReadUInt16BigEndian(Take(2)),
            0xdb => Length32(),
            _ => throw Unexpected("a string", head),
        };
        return Encoding.UTF8.GetString(Take(length));
    }

    public byte[]? ReadBinary()
    {
        if (TryReadNil())
        {
            return null;
        }

        byte head = Take(1)[0];
        int length = head switch
        {
            0xc4 => Take(1)[0],
            0xc5 => BinaryPrimitives.ReadUInt16BigEndian(Take(2)),
            0xc6 => Length32(),
            _ => throw Unexpected("binary data", head),
        };
        return Take(length).ToArray();
    }

    public int ReadArrayHeader()
    {
        byte head = Take(1)[0];
        int count = head switch
        {
            >= 0x90 and <= 0x9f => head & 0xf,
            0xdc => BinaryPrimitives.ReadUInt16BigEndian(Take(2)),
            0xdd => Length32(),
            _ => throw Unexpected("an array", head),
        };

        // Every element has at least one byte.
        return count <= _rest.Length ? count : throw new InvalidDataException("An array is longer than its message.");
    }

    public int ReadMapHeader()
    {
        byte head = Take(1)[0];
        int count = head switch
        {
            >= 0x80 and <= 0x8f => head & 0xf,
            0xde => BinaryPrimitives.ReadUInt16BigEndian(Take(2)),
            0xdf => Length32(),
            _ => throw Unexpected("a map", head),
        };
        return count <= _rest.Length ? count : throw new InvalidDataException("A map is longer than its message.");
    }

    /// <summary>Passes over one value of any kind.</summary>
    public void Skip(int depth = 0)
    {
        if (depth > DeepestNesting)
        {
            throw new InvalidDataException("A message is nested too deeply.");
        }

        if (_rest.IsEmpty)
        {
            throw new InvalidDataException("A message ends too early.");
        }

        switch (_rest[0])
        {
            case 0xc0 or 0xc2 or 0xc3:
                Take(1);
                break;
            case (>= 0xa0 and <= 0xbf) or 0xd9 or 0xda or 0xdb:
                ReadString();
                break;
            case 0xc4 or 0xc5 or 0xc6:
                ReadBinary();
                break;
            case (>= 0x90 and <= 0x9f) or 0xdc or 0xdd:
                SkipMany(ReadArrayHeader(), depth);
                break;
            case (>= 0x80 and <= 0x8f) or 0xde or 0xdf:
                SkipMany(ReadMapHeader() * 2L, depth);
                break;
            case 0xca or 0xcb:
                ReadDouble();
                break;
            default:
                ReadInteger();
                break;
        }
    }

    private void SkipMany(long count, int depth)
    {
        for (long i = 0; i < count; i++)
        {
            Skip(depth + 1);
        }
    }

    private int Length32()
    {
        uint length = BinaryPrimitives.ReadUInt32BigEndian(Take(4));
        return length <= int.MaxValue ? (int)length : throw new InvalidDataException("A length is out of range.");
    }

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count > _rest.Length)
        {
            throw new InvalidDataException("A message ends too early.");
        }

        var taken = _rest[..count];
        _rest = _rest[count..];
        return taken;
    }

    private static long Integral(double value) =>
        value is >= long.MinValue and < long.MaxValue && value == Math.Floor(value) ? (long)value : throw new InvalidDataException("A number is not an integer.");

    private static InvalidDataException Unexpected(string wanted, byte head) => new($"Expected {wanted}, found format 0x{head:x2}.");
}
