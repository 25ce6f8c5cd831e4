using Tmds.Linux;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Host;

/// <summary>
/// A descriptor's bytes, one after the other, each read and write one call. <see cref="FileStream"/> asks a descriptor what it is, where it
/// stands and whether it is locked, which a process that is allowed few calls does without.
/// </summary>
/// <param name="descriptor">Closed with the stream.</param>
public sealed unsafe class DescriptorStream(FileDescriptor descriptor) : Stream
{
    public override bool CanRead => true;

    public override bool CanWrite => true;

    public override bool CanSeek => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count));

    /// <exception cref="IOException">The other side is gone, or the host failed.</exception>
    public override int Read(Span<byte> buffer)
    {
        using var held = new HandleLease(descriptor);
        fixed (byte* start = buffer)
        {
            while (true)
            {
                long count = LibC.read(held.Number, start, buffer.Length);
                if (count >= 0)
                {
                    return (int)count;
                }

                ThrowUnlessInterrupted("read");
            }
        }
    }

    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    /// <exception cref="IOException">The other side is gone, or the host failed.</exception>
    public override void Write(ReadOnlySpan<byte> buffer)
    {
        using var held = new HandleLease(descriptor);
        fixed (byte* start = buffer)
        {
            for (int done = 0; done < buffer.Length;)
            {
                long count = LibC.write(held.Number, start + done, buffer.Length - done);
                if (count >= 0)
                {
                    done += (int)count;
                    continue;
                }

                ThrowUnlessInterrupted("write");
            }
        }
    }

    public override void Flush()
    {
        // Nothing is held back.
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        descriptor.Dispose();
        base.Dispose(disposing);
    }

    private static void ThrowUnlessInterrupted(string call)
    {
        var failure = LinuxException.Last(call);
        if (failure.Errno != ErrorNumber.EINTR)
        {
            throw new IOException(failure.Message, failure);
        }
    }
}
