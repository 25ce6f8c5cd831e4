using WebVm.Vmm.Devices.Bus;

namespace WebVm.Vmm.Devices.Pci;

/// <summary>Base address registers, and what is decoded where.</summary>
public sealed partial class PciFunction
{
    private const uint IoBarFlag = 1;
    private const uint Memory64Flag = 2 << 1;
    private const uint PrefetchableFlag = 1 << 3;

    private readonly Lock _mapping = new();
    private readonly PciBar?[] _bars;

    /// <summary>Windows that BARs have left, perhaps with an access still inside. Under the mapping lock.</summary>
    private readonly List<BusWindow> _left = [];
    private PciWindows? _windows;
    private string _owner = "pci";

    /// <summary>By index of the base address register; the upper half of a 64-bit one is null.</summary>
    public IReadOnlyList<PciBar?> Bars => _bars;

    /// <summary>The guest sees the function in its slot.</summary>
    public bool Connected => Volatile.Read(ref _windows) is not null;

    /// <summary>
    /// Where the guest's registers place a BAR, or null while its kind of access is disabled or the function asleep. Also while the
    /// function is not connected.
    /// </summary>
    public ulong? AddressOf(int index) => _bars[index] is { } bar ? DecodedAddress(index, bar) : null;

    public void AddBar(int index, PciBar bar)
    {
        bool wide = bar.Kind == PciBarKind.Memory64;
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(index, _bars.Length - (wide ? 2 : 1));
        uint flags = bar.Kind switch { PciBarKind.Io => IoBarFlag, PciBarKind.Memory64 => Memory64Flag, _ => 0 }
            | (bar.Prefetchable ? PrefetchableFlag : 0);
        ulong mask = ~(bar.Size - 1);
        // An I/O BAR decodes 16 bits; the upper half reads as zero (PCI Local Bus 3.0 §6.2.5.1).
        _config.Define(BarOffset(index), 4, flags, writable: bar.Kind == PciBarKind.Io ? (ushort)mask : (uint)mask);
        if (wide)
        {
            _config.Define(BarOffset(index + 1), 4, 0, writable: (uint)(mask >> 32));
        }

        _bars[index] = bar;
    }

    /// <summary>Puts the address of a BAR into its register, as firmware does.</summary>
    internal void PlaceBar(int index, ulong address)
    {
        WriteConfig(BarOffset(index), 4, (uint)address);
        if (_bars[index]?.Kind == PciBarKind.Memory64)
        {
            WriteConfig(BarOffset(index + 1), 4, (uint)(address >> 32));
        }
    }

    /// <summary>Lets the guest reach what its BARs show, as firmware does.</summary>
    internal void EnableDecoding()
    {
        var enable = PciCommand.BusMaster;
        if (Bridge is not null)
        {
            enable |= PciCommand.IoSpace | PciCommand.MemorySpace;
        }

        foreach (var bar in _bars)
        {
            enable |= bar is null ? 0 : bar.Kind == PciBarKind.Io ? PciCommand.IoSpace : PciCommand.MemorySpace;
        }

        WriteConfig(PciRegister.Command, 2, ReadConfig(PciRegister.Command, 2) | (uint)enable);
    }

    /// <summary>Makes the function visible and its BARs decoded.</summary>
    internal void Connect(string owner)
    {
        lock (_mapping)
        {
            _owner = owner;
            Volatile.Write(ref _windows, _bus!.Wiring.Windows);
            Interlocked.Or(ref _presence, InItsSlot);
        }

        UpdateMappings();
        Bridge?.RouteChanged();
        lock (_lock)
        {
            UpdateLine();
        }
    }

    /// <summary>Hides the function. When it returns no access to its BARs is in progress.</summary>
    internal void Disconnect()
    {
        lock (_mapping)
        {
            Interlocked.And(ref _presence, ~InItsSlot);
            if (_windows is { } windows)
            {
                foreach (var bar in _bars)
                {
                    Unmap(windows, bar);
                }

                Drain();
                Volatile.Write(ref _windows, null);
            }
        }

        Bridge?.RouteChanged();
        lock (_lock)
        {
            _line?.Set(false);
        }
    }

    /// <summary>When this returns no access is inside a BAR that is not decoded any more.</summary>
    internal void Sleep()
    {
        lock (_mapping)
        {
            Drain();
        }
    }

    private static int BarOffset(int index) => PciRegister.Bar0 + (4 * index);

    private void Unmap(PciWindows windows, PciBar? bar)
    {
        if (bar is { MappedAt: not null })
        {
            bar.MappedAt = null;
            // Not waited for here: it may be from within an access that a BAR moves.
            _left.RemoveAll(window => window.IsEmpty);
            if (windows.Unmap(bar) is { } left)
            {
                _left.Add(left);
            }
        }
    }

    private void Drain()
    {
        _left.ForEach(window => window.Drain());
        _left.Clear();
    }

    /// <summary>
    /// Brings what is decoded in line with the registers. Whoever changed a register comes here after it, so the last one sees all.
    /// </summary>
    internal void UpdateMappings()
    {
        lock (_mapping)
        {
            if (_windows is not { } windows)
            {
                return;
            }

            // First away, then to the new places: two BARs may swap theirs.
            Span<ulong?> wanted = [null, null, null, null, null, null];
            for (int index = 0; index < _bars.Length; index++)
            {
                if (_bars[index] is { } bar)
                {
                    wanted[index] = DecodedAddress(index, bar) is { } at && windows.Forwards(bar.Kind, at, bar.Size)
                        && _bus?.Forwards(bar.Kind, at, bar.Size) == true ? at : null;
                    if (wanted[index] != bar.MappedAt)
                    {
                        Unmap(windows, bar);
                    }
                }
            }

            for (int index = 0; index < _bars.Length; index++)
            {
                if (_bars[index] is { MappedAt: null } bar && wanted[index] is { } address && windows.TryMap(bar, address, _owner))
                {
                    bar.MappedAt = address;
                }
            }
        }
    }

    private ulong? DecodedAddress(int index, PciBar bar)
    {
        lock (_lock)
        {
            if (_asleep || !HasCommand(bar.Kind == PciBarKind.Io ? PciCommand.IoSpace : PciCommand.MemorySpace))
            {
                return null;
            }

            ulong address = _config.Get32(BarOffset(index)) & ~(bar.Kind == PciBarKind.Io ? 3UL : 15UL);
            return bar.Kind == PciBarKind.Memory64 ? address | ((ulong)_config.Get32(BarOffset(index + 1)) << 32) : address;
        }
    }
}
