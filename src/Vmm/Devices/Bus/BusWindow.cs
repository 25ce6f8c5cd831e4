using System.Runtime.CompilerServices;
using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Bus;

/// <summary>A window of a device as the bus holds it: the handler, who owns it, and what went through it.</summary>
/// <remarks>
/// Entries and exits are counted separately, so that whoever takes the window away can wait until the last access has
/// left the handler (<see cref="Drain"/>), with no lock on the path of an access.
/// </remarks>
public sealed class BusWindow
{
    private long _entered;
    private long _left;
    private long _writes;
    private volatile bool _closed;

    internal BusWindow(
        string owner, ulong first, ulong size, int width, WindowPrecedence precedence, IPortHandler? ports, IMmioHandler? memory)
    {
        Owner = owner;
        First = first;
        Size = size;
        Width = width;
        Precedence = precedence;
        Ports = ports;
        Memory = memory;
    }

    /// <summary>Name of the device.</summary>
    public string Owner { get; }

    /// <summary>First port, or first guest physical address.</summary>
    public ulong First { get; }

    /// <summary>Bytes (ports are one byte each).</summary>
    public ulong Size { get; }

    /// <summary>The widest access that the handler takes, in bytes.</summary>
    public int Width { get; }

    public WindowPrecedence Precedence { get; }

    public bool IsPort => Ports is not null;

    /// <summary>Accesses so far.</summary>
    public long Accesses => Volatile.Read(ref _left);

    /// <summary>Write accesses so far, approximately: concurrent vCPUs may lose one.</summary>
    public long Writes => Volatile.Read(ref _writes);

    /// <summary>What the handler threw, if it ever did; the window has been closed since.</summary>
    public Exception? Fault { get; internal set; }

    internal IPortHandler? Ports { get; }

    internal IMmioHandler? Memory { get; }

    internal ulong Last => First + (Size - 1);

    /// <summary>No access enters any more; one that is inside goes on.</summary>
    internal void Close() => _closed = true;

    /// <summary>No access is inside. Once true of a window that was removed, it stays so.</summary>
    internal bool IsEmpty => Volatile.Read(ref _left) >= Volatile.Read(ref _entered);

    /// <summary>Waits until no access is inside. Only after the window was removed; never from within its handler.</summary>
    public void Drain()
    {
        var spin = default(SpinWait);
        // An access that enters after this point sees the closed flag: TryEnter's increment is a full fence.
        while (!IsEmpty)
        {
            spin.SpinOnce();
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool TryEnter()
    {
        Interlocked.Increment(ref _entered);
        if (!_closed)
        {
            return true;
        }

        Interlocked.Increment(ref _left);
        return false;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void Leave() => Interlocked.Increment(ref _left);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal void CountWrite() => _writes++;

    public override string ToString() =>
        IsPort ? $"{Owner}: ports 0x{First:x}-0x{Last:x}" : $"{Owner}: 0x{First:x}-0x{Last:x}";
}
