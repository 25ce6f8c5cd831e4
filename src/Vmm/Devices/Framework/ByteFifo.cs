namespace WebVm.Vmm.Devices.Framework;

/// <summary>A FIFO of bytes with a fixed capacity. Not synchronised.</summary>
internal sealed class ByteFifo(int capacity)
{
    private readonly byte[] _bytes = new byte[capacity];
    private int _head;

    public int Count { get; private set; }

    public int Capacity => _bytes.Length;

    public int Free => _bytes.Length - Count;

    /// <summary>Appends; false, and nothing done, when full.</summary>
    public bool TryPush(byte value)
    {
        if (Count == _bytes.Length)
        {
            return false;
        }

        _bytes[(_head + Count++) % _bytes.Length] = value;
        return true;
    }

    /// <summary>Appends as many as fit.</summary>
    public int Push(ReadOnlySpan<byte> values)
    {
        int count = Math.Min(values.Length, Free);
        foreach (byte value in values[..count])
        {
            TryPush(value);
        }

        return count;
    }

    public byte Pop()
    {
        byte value = _bytes[_head];
        Drop(1);
        return value;
    }

    /// <summary>The oldest bytes that lie in one piece; empty only if the FIFO is.</summary>
    public ReadOnlySpan<byte> Front => _bytes.AsSpan(_head, Math.Min(Count, _bytes.Length - _head));

    public void Drop(int count)
    {
        _head = (_head + count) % _bytes.Length;
        Count -= count;
    }

    public void Clear() => Drop(Count);

    public byte[] ToArray()
    {
        byte[] copy = new byte[Count];
        for (int i = 0; i < copy.Length; i++)
        {
            copy[i] = _bytes[(_head + i) % _bytes.Length];
        }

        return copy;
    }
}
