using WebVm.Vmm.Cpu;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Devices.Bus;

/// <summary>
/// Where the accesses of all vCPUs to ports and memory-mapped registers find their device. Windows come and go while the guest
/// runs; an access never waits for that. What nobody answers reads as all ones and swallows writes.
/// </summary>
/// <remarks>
/// A handler that throws has a defect that the guest found. Its window is closed, the access is answered as if nothing were
/// there, and <see cref="Faulted"/> reports it: the device is lost, the machine goes on.
/// </remarks>
public sealed class SystemBus : IGuestBus
{
    private readonly PortSpace _ports;
    private readonly MmioSpace _memory;

    public SystemBus()
    {
        _ports = new PortSpace(Report);
        _memory = new MmioSpace(Report);
    }

    /// <summary>A handler threw; raised on the vCPU's thread, after the window has been closed.</summary>
    public event Action<BusWindow, Exception>? Faulted;

    /// <summary>The windows as they are now, for metrics and diagnostics.</summary>
    public IReadOnlyList<BusWindow> Windows => [.. _ports.Windows, .. _memory.Windows];

    /// <summary>Port accesses that no device answered.</summary>
    public long UnclaimedPorts => _ports.Unclaimed;

    /// <summary>MMIO accesses that no device answered.</summary>
    public long UnclaimedMmio => _memory.Unclaimed;

    /// <exception cref="ArgumentException">The window is empty, leaves the address space, or overlaps another of the platform.</exception>
    public BusWindow Add(PortWindow window, string owner, WindowPrecedence precedence = WindowPrecedence.Platform)
    {
        if (window.Count <= 0 || window.First + window.Count > PortSpace.PortCount || window.Width is not (1 or 2 or 4))
        {
            throw new ArgumentException(
                $"{owner}: {window.Count} ports at 0x{window.First:x} of width {window.Width} are not a port window.", nameof(window));
        }

        var added = new BusWindow(owner, window.First, (ulong)window.Count, window.Width, precedence, window.Handler, null);
        RefuseCollision(added, _ports.Windows);
        _ports.Add(added);
        return added;
    }

    /// <exception cref="ArgumentException">The window is empty, leaves the address space, or overlaps another of the platform.</exception>
    public BusWindow Add(MmioWindow window, string owner, WindowPrecedence precedence = WindowPrecedence.Platform)
    {
        if (window.Size == 0 || window.Base.Value > ulong.MaxValue - (window.Size - 1) || window.Width is not (1 or 2 or 4 or 8))
        {
            throw new ArgumentException(
                $"{owner}: {window.Size} bytes at {window.Base} of width {window.Width} are not an MMIO window.", nameof(window));
        }

        var added = new BusWindow(owner, window.Base.Value, window.Size, window.Width, precedence, null, window.Handler);
        RefuseCollision(added, _memory.Windows);
        _memory.Add(added);
        return added;
    }

    /// <summary>Takes a window away. An access that is already inside goes on; <see cref="BusWindow.Drain"/> waits for it.</summary>
    public void Remove(BusWindow window)
    {
        if (window.IsPort)
        {
            _ports.Remove(window);
        }
        else
        {
            _memory.Remove(window);
        }
    }

    public uint ReadPort(ushort port, int size) => _ports.Read(port, size);

    public void WritePort(ushort port, int size, uint value) => _ports.Write(port, size, value);

    public ulong ReadMmio(GuestPhysicalAddress address, int size) => _memory.Read(address.Value, size);

    public void WriteMmio(GuestPhysicalAddress address, int size, ulong value) => _memory.Write(address.Value, size, value);

    private static void RefuseCollision(BusWindow added, IReadOnlyList<BusWindow> present)
    {
        if (added.Precedence == WindowPrecedence.Platform
            && present.FirstOrDefault(
                other => other.Precedence == WindowPrecedence.Platform && other.First <= added.Last
                    && added.First <= other.Last) is { } other)
        {
            throw new ArgumentException($"{added} overlaps {other}.");
        }
    }

    private void Report(BusWindow window, Exception exception)
    {
        window.Fault = exception;
        Remove(window);
        Faulted?.Invoke(window, exception);
    }
}
