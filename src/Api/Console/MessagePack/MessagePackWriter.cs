using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace WebVm.Api.Console.MessagePack;

/// <summary>Writes the part of MessagePack that SignalR's hub protocol needs (msgpack specification, "Formats"). No allocation.</summary>
internal readonly ref struct MessagePackWriter(IBufferWriter<byte> output)
{
    private const int LongestFixString = 31;
    private const int LongestFixCollection = 15;

    public void WriteNil() => WriteByte(0xc0);

    public void WriteBoolean(bool value) => WriteByte(value ? (byte)0xc3 : (byte)0xc2);

    public void WriteInteger(long value)
    {
        switch (value)
        {
            case >= -32 and <= 127:
                WriteByte((byte)value);
                break;
            case >= int.MinValue and <= int.MaxValue:
                var four = output.GetSpan(5);
                four[0] = 0xd2;
                BinaryPrimitives.WriteInt32BigEndian(four[1..], (int)value);
                output.Advance(5);
                break;
            default:
                var eight = output.GetSpan(9);
                eight[0] = 0xd3;
                BinaryPrimitives.WriteInt64BigEndian(eight[1..], value);
                output.Advance(9);
                break;
        }
    }

    public void WriteDouble(double value)
    {
        var span = output.GetSpan(9);
        span[0] = 0xcb;
        BinaryPrimitives.WriteDoubleBigEndian(span[1..], value);
        output.Advance(9);
    }

    public void WriteString(string? value)
    {
        if (value is null)
        {
            WriteNil();
            return;
        }

        int bytes = Encoding.UTF8.GetByteCount(value);
        WriteHeader(bytes, 0xa0, LongestFixString, 0xd9, 0xda, 0xdb);
        var span = output.GetSpan(bytes);
        Encoding.UTF8.GetBytes(value, span);
        output.Advance(bytes);
    }

    public void WriteBinary(ReadOnlySpan<byte> value)
    {
        WriteHeader(value.Length, 0, -1, 0xc4, 0xc5, 0xc6);
        output.Write(value);
    }

    public void WriteArrayHeader(int count) => WriteHeader(count, 0x90, LongestFixCollection, null, 0xdc, 0xdd);

    public void WriteMapHeader(int count) => WriteHeader(count, 0x80, LongestFixCollection, null, 0xde, 0xdf);

    private void WriteHeader(int length, byte fix, int longestFix, byte? with8, byte with16, byte with32)
    {
        if (length <= longestFix)
        {
            WriteByte((byte)(fix | length));
        }
        else if (length <= byte.MaxValue && with8 is { } prefix)
        {
            var span = output.GetSpan(2);
            span[0] = prefix;
            span[1] = (byte)length;
            output.Advance(2);
        }
        else if (length <= ushort.MaxValue)
        {
            var span = output.GetSpan(3);
            span[0] = with16;
            BinaryPrimitives.WriteUInt16BigEndian(span[1..], (ushort)length);
            output.Advance(3);
        }
        else
        {
            var span = output.GetSpan(5);
            span[0] = with32;
            BinaryPrimitives.WriteInt32BigEndian(span[1..], length);
            output.Advance(5);
        }
    }

    private void WriteByte(byte value)
    {
        output.GetSpan(1)[0] = value;
        output.Advance(1);
    }
}
