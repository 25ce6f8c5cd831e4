using System.Buffers;

namespace WebVm.Vmm.Host;

/// <summary>
/// Bytes that are the host's again when this is disposed. The collector keeps what it once had, and a monitor lives for months after it
/// read a kernel of fifty megabytes.
/// </summary>
public sealed unsafe class HostBuffer : MemoryManager<byte>
{
    private readonly AddressReservation _memory;
    private readonly int _length;

    /// <param name="length">Bytes, all zero.</param>
    public HostBuffer(int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        _length = length;
        _memory = AddressReservation.Zeroed((ulong)Math.Max(length, 1));
    }

    public override Span<byte> GetSpan()
    {
        ObjectDisposedException.ThrowIf(_memory.Base == null, this);
        return new Span<byte>(_memory.Base, _length);
    }

    public override MemoryHandle Pin(int elementIndex = 0)
    {
        ObjectDisposedException.ThrowIf(_memory.Base == null, this);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)elementIndex, (uint)_length);
        return new MemoryHandle(_memory.Base + elementIndex);
    }

    /// <summary>Memory of the host does not move.</summary>
    public override void Unpin()
    {
    }

    protected override void Dispose(bool disposing) => _memory.Dispose();
}
