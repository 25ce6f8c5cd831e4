using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using WebVm.Vmm.Host;

namespace WebVm.Vmm.State;

/// <summary>
/// Writes a state to a stream, one piece after the other: a pipe, a socket, a file. Sections come first, so that whoever reads knows what
/// is needed before memory comes.
/// </summary>
/// <param name="stream">Still the caller's.</param>
public sealed class StreamSink(Stream stream) : IStateSink
{
    private readonly byte[] _frame =
        new byte[StreamFormat.HeaderLength + StreamFormat.OffsetLength + StreamFormat.MaximumData + StreamFormat.ChecksumLength];
    private StreamChecksum _checksum = new();
    private long _sections;
    private long _data;

    public void WriteSections(IReadOnlyList<StateSection> sections)
    {
        _checksum.Add(StreamFormat.Preface);
        stream.Write(StreamFormat.Preface);
        long length = 0;
        foreach (var section in sections)
        {
            byte[] json = JsonSerializer.SerializeToUtf8Bytes(section, StateSectionJson.Strict.StateSection);
            if ((length += json.Length) > StreamFormat.MaximumSections || ++_sections > StreamFormat.MaximumSectionCount)
            {
                throw new IOException("The state has more sections than can be read again.");
            }

            Write(StreamFrame.Section, json, default);
        }
    }

    public long WriteContents(
        StateContents contents, FileDescriptor source, Action<long>? reached = null, CancellationToken cancellation = default)
    {
        Write(StreamFrame.Contents, Number(contents.Size), Encoding.ASCII.GetBytes(contents.Name));
        long written = SparseFile.Read(
            source, (offset, data) => Write(StreamFrame.Data, Number((ulong)offset), data), reached, cancellation);
        _data += written;
        return written;
    }

    public void Complete()
    {
        Write(StreamFrame.End, Number((ulong)_sections), Number((ulong)_data));
        stream.Flush();
    }

    private void Write(StreamFrame kind, ReadOnlySpan<byte> first, ReadOnlySpan<byte> second)
    {
        int length = first.Length + second.Length;
        int whole = StreamFormat.HeaderLength + length;
        // Of a frame that is larger than any of memory's there is one at most: a section of a very large machine.
        int size = whole + StreamFormat.ChecksumLength;
        var frame = size <= _frame.Length ? _frame.AsSpan(0, size) : new byte[size];
        BinaryPrimitives.WriteUInt32LittleEndian(frame, (uint)kind);
        BinaryPrimitives.WriteInt32LittleEndian(frame[4..], length);
        first.CopyTo(frame[StreamFormat.HeaderLength..]);
        second.CopyTo(frame[(StreamFormat.HeaderLength + first.Length)..]);
        _checksum.Add(frame[..whole]);
        BinaryPrimitives.WriteUInt32LittleEndian(frame[whole..], _checksum.Value);
        stream.Write(frame);
    }

    private static byte[] Number(ulong value)
    {
        var bytes = new byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        return bytes;
    }
}
