using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Interrupts;

namespace WebVm.Vmm.Devices.Pci;

/// <summary>
/// The PCI side of a device: configuration space of type 0, base address registers, capabilities and interrupts. The device builds it in
/// its constructor; the bus it is put on knows where it is.
/// </summary>
/// <remarks>
/// Two locks, in this order: the mapping lock, held while BARs move, and the register lock. Moving a BAR may have to wait for vCPUs, so it
/// happens outside the register lock.
/// </remarks>
public sealed class PciFunction
{
    private const uint IoBarFlag = 1;
    private const uint Memory64Flag = 2 << 1;
    private const uint PrefetchableFlag = 1 << 3;

    private readonly Lock _lock = new();
    private readonly Lock _mapping = new();
    private readonly PciConfigSpace _config = new();
    private readonly PciBar?[] _bars = new PciBar?[PciRegister.BarCount];

    /// <summary>Windows that BARs have left, perhaps with an access still inside. Under the mapping lock.</summary>
    private readonly List<BusWindow> _left = [];
    private PowerManagementCapability? _power;

    /// <summary>From when the guest puts the function to sleep until the device is started again.</summary>
    private bool _asleep;
    private MsiCapability? _msi;
    private MsiXCapability? _msix;
    private bool _interruptPending;

    private PciWindows? _windows;
    private IInterruptRouter? _router;
    private InterruptLine.Source? _line;
    private ushort _requester;
    private string _owner = "pci";

    public PciFunction(PciIdentity identity)
    {
        Identity = identity;
        _config.Define(PciRegister.Vendor, 2, identity.Vendor);
        _config.Define(PciRegister.Device, 2, identity.Device);
        _config.Define(PciRegister.Command, 2, 0, writable: (ushort)PciCommand.Writable);
        _config.Define(PciRegister.Status, 2, 0, clearable: (ushort)PciStatus.Clearable);
        _config.Define(PciRegister.Revision, 4, (identity.ClassCode << 8) | identity.Revision);
        _config.Define(PciRegister.CacheLineSize, 1, 0, writable: 0xff);
        _config.Define(PciRegister.SubsystemVendor, 2, identity.SubsystemVendor);
        _config.Define(PciRegister.SubsystemDevice, 2, identity.SubsystemDevice);
        _config.Define(PciRegister.InterruptLine, 1, 0, writable: 0xff);
        _config.Define(PciRegister.InterruptPin, 1, identity.InterruptPin);
    }

    /// <summary>See <see cref="IPowerLevels.LevelWanted"/>.</summary>
    public event Action? LevelWanted;

    public PciIdentity Identity { get; }

    /// <summary>D0 or D3hot, as the guest has set it.</summary>
    public PowerLevel WantedLevel
    {
        get
        {
            lock (_lock)
            {
                return LevelInRegister;
            }
        }
    }

    /// <summary>By index of the base address register; the upper half of a 64-bit one is null.</summary>
    public IReadOnlyList<PciBar?> Bars => _bars;

    /// <summary>The guest sees the function in its slot.</summary>
    public bool Connected => Volatile.Read(ref _windows) is not null;

    /// <summary>Memory accesses of the device itself (DMA) and its messages are allowed.</summary>
    public bool BusMaster
    {
        get
        {
            lock (_lock)
            {
                return MayMaster;
            }
        }
    }

    public bool MsiXEnabled
    {
        get
        {
            lock (_lock)
            {
                return _msix is { Enabled: true };
            }
        }
    }

    /// <summary>Where the guest's registers place a BAR, or null while its kind of access is disabled or the function asleep. Also while the function is not connected.</summary>
    public ulong? AddressOf(int index) => _bars[index] is { } bar ? DecodedAddress(index, bar) : null;

    public void AddBar(int index, PciBar bar)
    {
        bool wide = bar.Kind == PciBarKind.Memory64;
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(index, PciRegister.BarCount - (wide ? 2 : 1));
        uint flags = bar.Kind switch { PciBarKind.Io => IoBarFlag, PciBarKind.Memory64 => Memory64Flag, _ => 0 } | (bar.Prefetchable ? PrefetchableFlag : 0);
        ulong mask = ~(bar.Size - 1);
        // An I/O BAR decodes 16 bits; the upper half reads as zero (PCI Local Bus 3.0 §6.2.5.1).
        _config.Define(BarOffset(index), 4, flags, writable: bar.Kind == PciBarKind.Io ? (ushort)mask : (uint)mask);
        if (wide)
        {
            _config.Define(BarOffset(index + 1), 4, 0, writable: (uint)(mask >> 32));
        }

        _bars[index] = bar;
    }

    public void AddExpressCapability() => ExpressCapability.Add(_config);

    /// <summary>Lets the guest put the function to sleep (D3hot).</summary>
    public void AddPowerManagement() => _power = new PowerManagementCapability(_config);

    /// <param name="vectors">1 to 32, a power of two.</param>
    public void AddMsi(int vectors) => _msi = new MsiCapability(_config, vectors);

    /// <summary>Adds MSI-X with its table and pending bits in a BAR of their own.</summary>
    public void AddMsiX(int vectors, int bar)
    {
        _msix = new MsiXCapability(_config, vectors, bar, _lock, SendPending);
        AddBar(bar, PciBar.ForRegisters(_msix.BarSize, _msix));
    }

    /// <summary>Drives INTA#, for functions that have the pin and while no message signalled interrupts are enabled.</summary>
    public void SetInterrupt(bool asserted)
    {
        lock (_lock)
        {
            _interruptPending = asserted;
            UpdateLine();
        }
    }

    /// <summary>Sends the message of a vector, or keeps it pending while it is masked.</summary>
    public void Signal(int vector)
    {
        MsiMessage? message;
        lock (_lock)
        {
            message = _msix is { Enabled: true } ? _msix.Raise(vector, hold: _asleep) : _msi?.Raise(vector, hold: _asleep);
        }

        Send(message);
    }

    /// <summary>All registers to their power-on values; no BAR is decoded.</summary>
    public void Reset()
    {
        lock (_lock)
        {
            _config.Reset();
            _msix?.Reset();
            _interruptPending = false;
            _asleep = false;
            UpdateLine();
        }

        UpdateMappings();
    }

    public PciFunctionState Save()
    {
        lock (_lock)
        {
            return new PciFunctionState(_config.Values.ToArray(), _interruptPending, _msi?.PendingBits ?? 0, _msix?.Save());
        }
    }

    /// <summary>Checks a saved state without taking it, so that a device can refuse before it changes anything.</summary>
    /// <exception cref="InvalidDataException">The state is not of such a function.</exception>
    public void Validate(PciFunctionState state)
    {
        if (state.Config.Length != _config.Size)
        {
            throw new InvalidDataException($"The saved configuration space has {state.Config.Length} bytes; the function has {_config.Size}.");
        }

        if (state.MsiX is null != _msix is null)
        {
            throw new InvalidDataException("The saved state and the function do not agree on MSI-X.");
        }

        if (state.MsiX is { } msix)
        {
            _msix!.Validate(msix);
        }
    }

    /// <exception cref="InvalidDataException">The state is not of such a function; nothing has changed.</exception>
    public void Load(PciFunctionState state)
    {
        Validate(state);
        lock (_lock)
        {
            _config.Load(state.Config);
            if (_msi is not null)
            {
                _msi.PendingBits = state.MsiPending;
            }

            if (state.MsiX is { } msix)
            {
                _msix?.Load(msix);
            }

            _interruptPending = state.InterruptPending;
            _power?.Settle(PowerLevel.Full);
            _asleep = LevelInRegister == PowerLevel.Asleep;
            UpdateLine();
        }

        UpdateMappings();
    }

    /// <summary>Reads configuration registers; 1, 2 or 4 bytes, also unaligned.</summary>
    internal uint ReadConfig(int offset, int size)
    {
        lock (_lock)
        {
            return _config.Read(offset, size);
        }
    }

    internal void WriteConfig(int offset, int size, uint value)
    {
        bool mappings = offset < PciRegister.BarsEnd && offset + size > PciRegister.Bar0;
        bool interrupts;
        bool level;
        lock (_lock)
        {
            var before = (PciCommand)_config.Get16(PciRegister.Command);
            var levelBefore = LevelInRegister;
            _config.Write(offset, size, value);
            _power?.Settle(levelBefore);
            level = LevelInRegister != levelBefore;
            if (level && LevelInRegister == PowerLevel.Asleep)
            {
                _asleep = true;
                mappings = true;
                UpdateLine();
            }

            var changed = before ^ (PciCommand)_config.Get16(PciRegister.Command);
            mappings |= (changed & (PciCommand.IoSpace | PciCommand.MemorySpace)) != 0;
            interrupts = (changed & (PciCommand.BusMaster | PciCommand.InterruptDisable)) != 0
                || _msi?.Covers(offset, size) == true || _msix?.Covers(offset, size) == true;
            if (interrupts)
            {
                UpdateLine();
            }
        }

        if (mappings)
        {
            UpdateMappings();
        }

        if (interrupts)
        {
            SendPending();
        }

        if (level)
        {
            LevelWanted?.Invoke();
        }
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
        foreach (var bar in _bars)
        {
            enable |= bar is null ? 0 : bar.Kind == PciBarKind.Io ? PciCommand.IoSpace : PciCommand.MemorySpace;
        }

        WriteConfig(PciRegister.Command, 2, ReadConfig(PciRegister.Command, 2) | (uint)enable);
    }

    /// <summary>A power-on register that others of the slot determine.</summary>
    internal void SetMultiFunction() => _config.Define(PciRegister.HeaderType, 1, PciRegister.MultiFunction);

    /// <summary>Wires the function to its slot.</summary>
    internal void Attach(ushort requester, InterruptLine? line, IInterruptRouter router)
    {
        lock (_lock)
        {
            _requester = requester;
            _line = line?.CreateSource();
            _router = router;
        }
    }

    /// <summary>Makes the function visible and its BARs decoded.</summary>
    internal void Connect(PciWindows windows, string owner)
    {
        lock (_mapping)
        {
            _owner = owner;
            Volatile.Write(ref _windows, windows);
        }

        UpdateMappings();
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

    /// <summary>The device is started again: all of it is reached, unless the guest has put it to sleep once more.</summary>
    internal void Wake()
    {
        lock (_lock)
        {
            if (!_asleep || LevelInRegister == PowerLevel.Asleep)
            {
                return;
            }

            _asleep = false;
            UpdateLine();
        }

        UpdateMappings();
        SendPending();
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

    private PowerLevel LevelInRegister => _power?.Level ?? PowerLevel.Full;

    private bool MayMaster => !_asleep && HasCommand(PciCommand.BusMaster);

    private bool HasCommand(PciCommand bit) => ((PciCommand)_config.Get16(PciRegister.Command) & bit) != 0;

    /// <summary>Brings what is decoded in line with the registers. Whoever changed a register comes here after it, so the last one sees all.</summary>
    private void UpdateMappings()
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
                    wanted[index] = DecodedAddress(index, bar);
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

    private void UpdateLine()
    {
        var status = (PciStatus)_config.Get16(PciRegister.Status) & ~PciStatus.Interrupt;
        _config.Set16(PciRegister.Status, (ushort)(status | (_interruptPending ? PciStatus.Interrupt : 0)));
        bool messages = _msi is { Enabled: true } || _msix is { Enabled: true };
        _line?.Set(_interruptPending && !_asleep && !messages && !HasCommand(PciCommand.InterruptDisable));
    }

    private void SendPending()
    {
        while (true)
        {
            MsiMessage? message;
            lock (_lock)
            {
                bool msix = _msix is { Enabled: true };
                int vector = !MayMaster ? -1 : msix ? _msix!.TakePending() : _msi?.TakePending() ?? -1;
                if (vector < 0)
                {
                    return;
                }

                message = msix ? _msix!.Raise(vector, hold: false) : _msi!.Raise(vector, hold: false);
            }

            Send(message);
        }
    }

    private void Send(MsiMessage? message)
    {
        // A message is a memory write of the function: it needs bus mastering, and only the interrupt window is answered by interrupt controllers.
        if (message is { } send && (send.Address & ~0xfffffUL) == PlatformMap.LocalApic && BusMaster)
        {
            _router?.SendMsi(send with { Requester = _requester });
        }
    }
}
