using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using WebVm.Vmm.Host;

namespace WebVm.Vmm.State;

/// <summary>
/// Reads a state from a stream that anybody may write: what it claims is bounded before room is made for it, and nothing counts before its
/// checksum fits.
/// </summary>
/// <param name="stream">Still the caller's, as is how long it may take.</param>
public sealed class StreamSource(Stream stream, string name = "the stream") : IStateSource
{
    private StreamChecksum _checksum = new();
    private byte[] _payload = [];

    /// <summary>Of the frame that was read and not yet taken.</summary>
    private StreamFrame _kind;
    private int _length;
    private long _sections;
    private long _data;
    private int _contents;

    public string Name => name;

    private ReadOnlySpan<byte> Payload => _payload.AsSpan(0, _length);

    public IReadOnlyList<StateSection> ReadSections()
    {
        Span<byte> preface = stackalloc byte[StreamFormat.Preface.Length];
        Fill(preface);
        if (!preface[..^1].SequenceEqual(StreamFormat.Preface[..^1]))
        {
            throw Refused("it does not begin as one");
        }

        if (preface[^1] != StreamFormat.Preface[^1])
        {
            throw Refused($"its format is version {preface[^1]}; this build reads version {StreamFormat.Preface[^1]}");
        }

        _checksum.Add(preface);
        var sections = new List<StateSection>();
        for (long left = StreamFormat.MaximumSections; Next(left) == StreamFrame.Section; left -= _length)
        {
            if (sections.Count == StreamFormat.MaximumSectionCount)
            {
                throw Refused($"it has more than {StreamFormat.MaximumSectionCount} sections");
            }

            sections.Add(ReadSection());
        }

        _sections = sections.Count;
        return sections;
    }

    public long? Look(StateContents contents, List<string> faults) => null;

    public void ReadContents(StateContents contents, FileDescriptor target)
    {
        if (_kind != StreamFrame.Contents || ++_contents > StreamFormat.MaximumContents
            || _length is <= sizeof(ulong) or > sizeof(ulong) + StreamFormat.LongestName
            || BinaryPrimitives.ReadUInt64LittleEndian(Payload) != contents.Size
                || Encoding.Latin1.GetString(Payload[sizeof(ulong)..]) != contents.Name)
        {
            throw Refused($"it does not have the {contents.Size} bytes of memory '{contents.Name}' where they are expected");
        }

        ulong end = 0;
        while (Next(0) == StreamFrame.Data)
        {
            var data = Payload[StreamFormat.OffsetLength..];
            ulong offset = BinaryPrimitives.ReadUInt64LittleEndian(Payload);
            bool whole = offset % StreamFormat.PageSize == 0 && data.Length % StreamFormat.PageSize == 0;
            if (!whole || offset < end || offset > contents.Size || (ulong)data.Length > contents.Size - offset)
            {
                throw Refused($"it has {data.Length} bytes at {offset} of memory '{contents.Name}', where they cannot be");
            }

            SparseFile.Write(target, (long)offset, data);
            end = offset + (ulong)data.Length;
            _data += data.Length;
        }
    }

    public void Complete()
    {
        if (_kind != StreamFrame.End)
        {
            throw Refused("it has more memory than the machine");
        }

        if (BinaryPrimitives.ReadInt64LittleEndian(Payload) != _sections
            || BinaryPrimitives.ReadInt64LittleEndian(Payload[sizeof(long)..]) != _data)
        {
            throw Refused("its end speaks of another state");
        }
    }

    private StateSection ReadSection()
    {
        try
        {
            UntrustedJson.Check(Payload, StrictJson.MaximumDepth);
            return JsonSerializer.Deserialize(Payload, StateSectionJson.Strict.StateSection)
                ?? throw new InvalidDataException("It is empty.");
        }
        catch (Exception failure) when (failure is JsonException or NotSupportedException or ArgumentException or FormatException
            or InvalidDataException)
        {
            throw new InvalidDataException($"'{name}' is no saved machine: a section is none. {failure.Message}", failure);
        }
    }

    /// <summary>Reads the next frame.</summary>
    /// <param name="sections">Bytes that a section may have.</param>
    private StreamFrame Next(long sections)
    {
        Span<byte> header = stackalloc byte[StreamFormat.HeaderLength];
        Fill(header);
        _kind = (StreamFrame)BinaryPrimitives.ReadUInt32LittleEndian(header);
        uint length = BinaryPrimitives.ReadUInt32LittleEndian(header[4..]);
        var (least, most) = _kind switch
        {
            StreamFrame.Section => (1, sections),
            StreamFrame.Contents => (sizeof(ulong) + 1, sizeof(ulong) + StreamFormat.LongestName),
            StreamFrame.Data => (StreamFormat.OffsetLength + StreamFormat.PageSize, StreamFormat.OffsetLength + StreamFormat.MaximumData),
            StreamFrame.End => (2 * sizeof(ulong), 2 * sizeof(ulong)),
            _ => throw Refused($"it has a frame of kind {(uint)_kind}"),
        };
        if (length < least || length > most)
        {
            throw Refused($"it has a frame of kind {_kind} with {length} bytes");
        }

        _length = (int)length;
        if (_payload.Length < _length)
        {
            _payload = new byte[Math.Max(_length, StreamFormat.OffsetLength + StreamFormat.MaximumData)];
        }

        Fill(_payload.AsSpan(0, _length));
        _checksum.Add(header);
        _checksum.Add(Payload);
        Span<byte> checksum = stackalloc byte[StreamFormat.ChecksumLength];
        Fill(checksum);
        if (BinaryPrimitives.ReadUInt32LittleEndian(checksum) != _checksum.Value)
        {
            throw Refused("it is damaged: a checksum does not fit");
        }

        return _kind;
    }

    private void Fill(Span<byte> buffer)
    {
        if (stream.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false) < buffer.Length)
        {
            throw Refused("it ends in the middle");
        }
    }

    private InvalidDataException Refused(string because) => new($"'{name}' is no saved machine: {because}.");
}
