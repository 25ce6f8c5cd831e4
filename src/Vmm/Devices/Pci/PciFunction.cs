using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Pci;

/// <summary>
/// The PCI side of a device: configuration space, base address registers, capabilities and interrupts. The device builds it in its
/// constructor; the bus it is put on knows where it is.
/// </summary>
/// <remarks>
/// Two locks, in this order: the mapping lock, held while BARs move, and the register lock. Moving a BAR may have to wait for vCPUs, so it
/// happens outside the register lock. No lock of one function is held while one of another is taken, but for the mapping lock of what is
/// behind a bridge, under which the bridge is asked what it forwards.
/// </remarks>
public sealed partial class PciFunction
{
    private const int InItsSlot = 1;
    private const int BeingReset = 2;

    private readonly Lock _lock = new();
    private readonly PciConfigSpace _config = new();
    private readonly List<PciRegisterBlock> _blocks = [];
    private PowerManagementCapability? _power;
    private ExpressCapability? _express;

    /// <summary>From when the guest puts the function to sleep until the device is started again.</summary>
    private bool _asleep;

    /// <summary>
    /// Whether the guest finds it, in one word that each request looks at: <see cref="InItsSlot"/>, <see cref="BeingReset"/>.
    /// </summary>
    private int _presence;
    private PciBus? _bus;
    private PciSlot _slot;

    /// <summary>A function that is no bridge.</summary>
    public PciFunction(PciIdentity identity)
        : this(identity, null)
    {
    }

    internal PciFunction(PciIdentity identity, PciBridge? bridge)
    {
        Identity = identity;
        Bridge = bridge;
        _bars = new PciBar?[bridge is null ? PciRegister.BarCount : PciBridgeRegister.BarCount];
        _config.Define(PciRegister.Vendor, 2, identity.Vendor);
        _config.Define(PciRegister.Device, 2, identity.Device);
        _config.Define(PciRegister.Command, 2, 0, writable: (ushort)PciCommand.Writable);
        _config.Define(PciRegister.Status, 2, 0, clearable: (ushort)PciStatus.Clearable);
        _config.Define(PciRegister.Revision, 4, (identity.ClassCode << 8) | identity.Revision);
        _config.Define(PciRegister.CacheLineSize, 1, 0, writable: 0xff);
        if (bridge is null)
        {
            _config.Define(PciRegister.SubsystemVendor, 2, identity.SubsystemVendor);
            _config.Define(PciRegister.SubsystemDevice, 2, identity.SubsystemDevice);
        }
        else
        {
            PciBridge.Define(_config);
        }

        _config.Define(PciRegister.InterruptLine, 1, 0, writable: 0xff);
        _config.Define(PciRegister.InterruptPin, 1, identity.InterruptPin);
    }

    /// <summary>See <see cref="IPowerLevels.LevelWanted"/>.</summary>
    public event Action? LevelWanted;

    /// <summary>See <see cref="IResetByBus.ResetWanted"/>.</summary>
    public event Action? ResetWanted;

    public PciIdentity Identity { get; }

    /// <summary>The bridge that the function is; null for one that is none.</summary>
    public PciBridge? Bridge { get; }

    /// <summary>"Bus, device, function" of its requests, by the numbers that buses have now.</summary>
    public ushort Requester => _bus?.RequesterOf(_slot) ?? 0;

    /// <summary>The bus that it has been put on.</summary>
    internal PciBus? Bus => Volatile.Read(ref _bus);

    internal PciSlot Slot => _slot;

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

    /// <summary>The link that leads to it went down, and its device has not been reset yet.</summary>
    public bool ResetDue => (Volatile.Read(ref _presence) & BeingReset) != 0;

    /// <summary>It is there, and answers requests.</summary>
    internal bool Answers => Volatile.Read(ref _presence) == InItsSlot;

    public void AddExpressCapability() => _express = Add(new ExpressCapability());

    /// <summary>Lets the guest put the function to sleep (D3hot).</summary>
    public void AddPowerManagement() => _power = Add(new PowerManagementCapability());

    /// <summary>All registers to their power-on values; no BAR is decoded.</summary>
    public void Reset()
    {
        lock (_lock)
        {
            _asleep = false;
            Interlocked.And(ref _presence, ~BeingReset);
            ResetRegisters();
        }

        Settle();
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
            throw new InvalidDataException(
                $"The saved configuration space has {state.Config.Length} bytes; the function has {_config.Size}.");
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
            Interlocked.And(ref _presence, ~BeingReset);
            _power?.Settle(PowerLevel.Full);
            _asleep = LevelInRegister == PowerLevel.Asleep;
            foreach (var block in _blocks)
            {
                block.Loaded();
            }

            _ = LatchBridge();
            UpdateLine();
        }

        Settle();
    }

    /// <summary>Adds registers; a capability is appended to the function's list.</summary>
    internal T Add<T>(T block)
        where T : PciRegisterBlock
    {
        block.AddTo(_config, _lock);
        _blocks.Add(block);
        return block;
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
        bool mappings = offset < BarOffset(_bars.Length) && offset + size > PciRegister.Bar0;
        bool interrupts;
        bool level;
        bool route;
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

            foreach (var block in _blocks)
            {
                block.Written(offset, size);
            }

            route = LatchBridge();
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

        if (route)
        {
            Bridge!.RouteChanged();
        }

        if (interrupts)
        {
            SendPending();
        }

        foreach (var block in _blocks)
        {
            block.Follow();
        }

        if (level)
        {
            LevelWanted?.Invoke();
        }
    }

    /// <summary>A power-on register that others of the slot determine.</summary>
    internal void SetMultiFunction() =>
        _config.Define(PciRegister.HeaderType, 1, (uint)(PciRegister.MultiFunction | (Bridge is null ? 0 : PciBridgeRegister.HeaderType)));

    /// <summary>
    /// The link that leads to it went down, which is a conventional reset (PCI Express Base 5.0 §6.6.1). Registers have their power-on
    /// values at once; the device, which may be at work, follows, and does not answer before it has.
    /// </summary>
    internal void HotReset()
    {
        lock (_lock)
        {
            Interlocked.Or(ref _presence, BeingReset);
            ResetRegisters();
        }

        Settle();
        Bridge?.ResetBehind();
        ResetWanted?.Invoke();
    }

    /// <summary>Wires the function to its slot.</summary>
    internal void Attach(PciBus bus, PciSlot slot)
    {
        lock (_lock)
        {
            _slot = slot;
            Volatile.Write(ref _bus, bus);
            _line = Identity.InterruptPin is > 0 and var pin ? bus.Wiring.LineOf(bus, slot, pin).CreateSource() : null;
            if (bus.Parent is not null)
            {
                _express?.BeBehindLink();
            }
        }
    }

    /// <summary>It is on no bus any more.</summary>
    internal void Detach()
    {
        lock (_lock)
        {
            _line?.Set(false);
            _line = null;
            Volatile.Write(ref _bus, null);
        }
    }

    /// <summary>Something changes registers that is not the guest.</summary>
    internal void Change(Action change)
    {
        bool route;
        lock (_lock)
        {
            change();
            route = LatchBridge();
        }

        if (route)
        {
            Bridge!.RouteChanged();
        }

        foreach (var block in _blocks)
        {
            block.Follow();
        }
    }

    private PowerLevel LevelInRegister => _power?.Level ?? PowerLevel.Full;

    private bool HasCommand(PciCommand bit) => ((PciCommand)_config.Get16(PciRegister.Command) & bit) != 0;

    private bool LatchBridge() => Bridge?.Latch(_config, LevelInRegister == PowerLevel.Full) == true;

    private void ResetRegisters()
    {
        _config.Reset();
        foreach (var block in _blocks)
        {
            block.Reset();
        }

        _interruptPending = false;
        _ = LatchBridge();
        UpdateLine();
    }

    /// <summary>What follows of registers that have all been replaced.</summary>
    private void Settle()
    {
        UpdateMappings();
        Bridge?.RouteChanged();
        foreach (var block in _blocks)
        {
            block.Follow();
        }
    }
}
