using System.Buffers.Binary;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using WebVm.Vmm.Host;

namespace WebVm.Vmm.Control;

/// <summary>
/// Messages over a connected Unix stream socket: four bytes of length (little-endian), then that much JSON in UTF-8. One reader
/// and one writer at a time, each blocking.
/// </summary>
internal sealed class ControlConnection(FileDescriptor socket) : IDisposable
{
    private const int HeaderSize = 4;

    private readonly byte[] _received = new byte[64 * 1024];
    private readonly Queue<FileDescriptor> _descriptors = new();
    private int _start;
    private int _end;

    /// <summary>Bytes of the message that came last.</summary>
    public int Length { get; private set; }

    public void Send<T>(T message, JsonTypeInfo<T> type, params ReadOnlySpan<FileDescriptor> descriptors) =>
        DescriptorPassing.Send(socket, Frame(message, type), descriptors);

    /// <summary>A message as it is sent.</summary>
    public static byte[] Frame<T>(T message, JsonTypeInfo<T> type)
    {
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(message, type);
        if (json.Length > ControlProtocol.MaximumMessage)
        {
            throw new ControlProtocolException($"A message of {json.Length} bytes is too long to send.");
        }

        var frame = new byte[HeaderSize + json.Length];
        BinaryPrimitives.WriteInt32LittleEndian(frame, json.Length);
        json.CopyTo(frame, HeaderSize);
        return frame;
    }

    /// <summary>Sends of a frame what the other side's buffer takes at once. Descriptors go with the first byte.</summary>
    /// <returns>Bytes that were sent.</returns>
    public int TrySend(ReadOnlySpan<byte> frame, ReadOnlySpan<FileDescriptor> descriptors) =>
        DescriptorPassing.TrySend(socket, frame, descriptors);

    /// <summary>The next message; null when the other side closed between messages.</summary>
    /// <exception cref="ControlProtocolException">Too long, cut off, or no such message.</exception>
    public T? Receive<T>(JsonTypeInfo<T> type)
        where T : class
    {
        Span<byte> header = stackalloc byte[HeaderSize];
        if (!TryFill(header, mayEnd: true))
        {
            return null;
        }

        int length = BinaryPrimitives.ReadInt32LittleEndian(header);
        if (length is < 0 or > ControlProtocol.MaximumMessage)
        {
            throw new ControlProtocolException($"A message announces {(uint)length} bytes; there may be {ControlProtocol.MaximumMessage}.");
        }

        Length = length;
        var json = new byte[length];
        TryFill(json, mayEnd: false);
        try
        {
            // What is inside is read later, elsewhere: nobody there is to meet a string that cannot be had.
            UntrustedJson.Check(json, ControlProtocol.MaximumDepth);
            return JsonSerializer.Deserialize(json, type) ?? throw new ControlProtocolException("A message is null.");
        }
        catch (Exception malformed) when (malformed is JsonException or InvalidDataException)
        {
            throw new ControlProtocolException($"A message is not what was expected: {malformed.Message}");
        }
    }

    /// <summary>The descriptors that a message of so many came with; they belong to the caller.</summary>
    /// <exception cref="ControlProtocolException">There were not so many.</exception>
    public FileDescriptor[] TakeDescriptors(int count)
    {
        if (count is < 0 or > DescriptorPassing.MaxDescriptors || count > _descriptors.Count)
        {
            throw new ControlProtocolException($"A message speaks of {count} file descriptors, which did not come.");
        }

        var taken = new FileDescriptor[count];
        for (int index = 0; index < count; index++)
        {
            taken[index] = _descriptors.Dequeue();
        }

        return taken;
    }

    /// <summary>Makes blocked and further calls fail; may be called from any thread.</summary>
    public void Abort() => UnixSocket.Shutdown(socket);

    public void Dispose()
    {
        socket.Dispose();
        while (_descriptors.TryDequeue(out var descriptor))
        {
            descriptor.Dispose();
        }
    }

    private bool TryFill(Span<byte> destination, bool mayEnd)
    {
        int filled = 0;
        while (filled < destination.Length)
        {
            if (_start == _end)
            {
                var descriptors = new List<FileDescriptor>();
                _start = 0;
                _end = DescriptorPassing.Receive(socket, _received, descriptors);
                descriptors.ForEach(_descriptors.Enqueue);
                if (_descriptors.Count > DescriptorPassing.MaxDescriptors)
                {
                    throw new ControlProtocolException("More file descriptors came than messages speak of.");
                }

                if (_end == 0)
                {
                    return mayEnd && filled == 0 ? false : throw new ControlProtocolException("The connection ended within a message.");
                }
            }

            int count = Math.Min(destination.Length - filled, _end - _start);
            _received.AsSpan(_start, count).CopyTo(destination[filled..]);
            _start += count;
            filled += count;
        }

        return true;
    }
}
