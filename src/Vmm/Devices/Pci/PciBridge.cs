namespace WebVm.Vmm.Devices.Pci;

/// <summary>
/// The bridge between two buses (header type 1, PCI Express Base 5.0 §7.5.1.3): a function, the bus behind it, and what it lets through, as
/// the guest has written it. Whatever that is, it is looked up downwards only, so numbers that contradict each other lead nowhere, and to
/// an end.
/// </summary>
public sealed class PciBridge
{
    private const ulong MemoryGranularity = 1 << 20;
    private const ulong IoGranularity = 1 << 12;
    private const ushort MemoryAddressBits = 0xfff0;
    private const byte IoAddressBits = 0xf0;
    private const ushort Is64Bit = 1;
    private const int Passes = 1 << 16;
    private const int Link = 1 << 17;

    private readonly Lock _lock = new();
    private Ways _ways;

    /// <summary>Secondary and subordinate bus number, and whether anything passes, in one word.</summary>
    private int _numbers;
    private int _resetDue;

    public PciBridge(PciIdentity identity)
    {
        Function = new PciFunction(identity, this);
        SecondaryBus = new PciBus(this);
    }

    public PciFunction Function { get; }

    public PciBus SecondaryBus { get; }

    /// <summary>It tells the guest of what is plugged in and asked back, by registers of its own.</summary>
    public bool HasHotPlug { get; init; }

    /// <summary>There is something at the far end of the link, and it answers. Under the function's register lock.</summary>
    internal bool LinkUp { get; set; } = true;

    internal byte SecondaryNumber => (byte)Volatile.Read(ref _numbers);

    /// <summary>Requests pass at all: the bridge is there and awake, and its link up.</summary>
    internal bool IsOpen => (Volatile.Read(ref _numbers) & Passes) != 0 && Function.Connected;

    /// <summary>Whether a configuration request for the bus goes down here (§7.3.3).</summary>
    internal bool Claims(int bus)
    {
        int numbers = Volatile.Read(ref _numbers);
        return bus >= (byte)numbers && bus <= (byte)(numbers >> 8) && IsOpen;
    }

    /// <summary>Whether accesses to all of the range go down here.</summary>
    internal bool Forwards(PciBarKind kind, ulong address, ulong size)
    {
        if (!IsOpen)
        {
            return false;
        }

        Ways ways;
        lock (_lock)
        {
            ways = _ways;
        }

        return kind == PciBarKind.Io
            ? ways.Io.Covers(address, size) && !(ways.Isa && (address & 0x300) != 0)
            : ways.Memory.Covers(address, size) || ways.Prefetchable.Covers(address, size);
    }

    /// <summary>Says what the registers of a bridge are.</summary>
    internal static void Define(PciConfigSpace config)
    {
        config.Define(PciRegister.HeaderType, 1, PciBridgeRegister.HeaderType);
        config.Define(PciBridgeRegister.PrimaryBus, 1, 0, writable: 0xff);
        config.Define(PciBridgeRegister.SecondaryBus, 1, 0, writable: 0xff);
        config.Define(PciBridgeRegister.SubordinateBus, 1, 0, writable: 0xff);
        config.Define(PciBridgeRegister.IoBase, 1, 0, writable: IoAddressBits);
        config.Define(PciBridgeRegister.IoLimit, 1, 0, writable: IoAddressBits);
        config.Define(PciBridgeRegister.SecondaryStatus, 2, 0, clearable: (ushort)PciStatus.Clearable);
        config.Define(PciBridgeRegister.MemoryBase, 2, 0, writable: MemoryAddressBits);
        config.Define(PciBridgeRegister.MemoryLimit, 2, 0, writable: MemoryAddressBits);
        config.Define(PciBridgeRegister.PrefetchableBase, 2, Is64Bit, writable: MemoryAddressBits);
        config.Define(PciBridgeRegister.PrefetchableLimit, 2, Is64Bit, writable: MemoryAddressBits);
        config.Define(PciBridgeRegister.PrefetchableBaseUpper, 4, 0, writable: uint.MaxValue);
        config.Define(PciBridgeRegister.PrefetchableLimitUpper, 4, 0, writable: uint.MaxValue);
        config.Define(PciBridgeRegister.Control, 2, 0, writable: (ushort)PciBridgeControl.Writable);
    }

    /// <summary>Takes over what registers say; under the function's register lock, after each change of them.</summary>
    /// <returns>Something else is let through now.</returns>
    internal bool Latch(PciConfigSpace config, bool awake)
    {
        int numbers = config.Get16(PciBridgeRegister.SecondaryBus) | (LinkUp ? Link : 0) | (awake && LinkUp ? Passes : 0);
        var command = (PciCommand)config.Get16(PciRegister.Command);
        bool memory = (command & PciCommand.MemorySpace) != 0;
        var ways = new Ways(
            (command & PciCommand.IoSpace) != 0 ? IoWindow(config) : AddressRange.Closed,
            memory ? MemoryWindow(config) : AddressRange.Closed,
            memory ? PrefetchableWindow(config) : AddressRange.Closed,
            ((PciBridgeControl)config.Get16(PciBridgeRegister.Control) & PciBridgeControl.IsaEnable) != 0);
        lock (_lock)
        {
            bool changed = ways != _ways || ((numbers ^ _numbers) & Passes) != 0;
            if ((_numbers & ~numbers & Link) != 0)
            {
                // What is behind a link that goes down is reset by that (§2.9.1, §6.6.1).
                _resetDue = 1;
                changed = true;
            }

            _ways = ways;
            Volatile.Write(ref _numbers, numbers);
            return changed;
        }
    }

    internal void ResetBehind()
    {
        foreach (var (_, function) in SecondaryBus.Functions)
        {
            function.HotReset();
        }
    }

    /// <summary>Brings what is decoded behind the bridge in line with what it lets through. No lock of a function is held.</summary>
    internal void RouteChanged()
    {
        if (Interlocked.Exchange(ref _resetDue, 0) != 0)
        {
            ResetBehind();
        }

        foreach (var (_, function) in SecondaryBus.Functions)
        {
            function.UpdateMappings();
            function.Bridge?.RouteChanged();
        }
    }

    internal void SetNumbers(byte primary, byte secondary, byte subordinate) => Function.WriteConfig(
        PciBridgeRegister.PrimaryBus, 4, primary | ((uint)secondary << 8) | ((uint)subordinate << 16));

    /// <summary>Opens a window, as firmware does; one of size 0 is closed (its limit is below its base).</summary>
    internal void SetIoWindow(ulong address, ulong size)
    {
        ulong last = address + size - 1;
        Function.WriteConfig(
            PciBridgeRegister.IoBase, 2, size == 0 ? IoAddressBits : (uint)(((address >> 8) & IoAddressBits) | (last & 0xf000)));
    }

    /// <inheritdoc cref="SetIoWindow"/>
    internal void SetMemoryWindow(ulong address, ulong size) =>
        Function.WriteConfig(PciBridgeRegister.MemoryBase, 4, size == 0 ? MemoryAddressBits : BaseAndLimit(address, address + size - 1));

    /// <inheritdoc cref="SetIoWindow"/>
    internal void SetPrefetchableWindow(ulong address, ulong size)
    {
        ulong last = size == 0 ? 0 : address + size - 1;
        Function.WriteConfig(PciBridgeRegister.PrefetchableBase, 4, size == 0 ? MemoryAddressBits : BaseAndLimit(address, last));
        Function.WriteConfig(PciBridgeRegister.PrefetchableBaseUpper, 4, size == 0 ? 0 : (uint)(address >> 32));
        Function.WriteConfig(PciBridgeRegister.PrefetchableLimitUpper, 4, (uint)(last >> 32));
    }

    private static uint BaseAndLimit(ulong first, ulong last) => (uint)(((first >> 16) & MemoryAddressBits) | (last & 0xfff0_0000));

    private static AddressRange IoWindow(PciConfigSpace config)
    {
        int window = config.Get16(PciBridgeRegister.IoBase);
        return AddressRange.Of((ulong)(window & IoAddressBits) << 8, (ulong)((window >> 8) & IoAddressBits) << 8, IoGranularity);
    }

    private static AddressRange MemoryWindow(PciConfigSpace config) => AddressRange.Of(
        Address(config, PciBridgeRegister.MemoryBase), Address(config, PciBridgeRegister.MemoryLimit), MemoryGranularity);

    private static AddressRange PrefetchableWindow(PciConfigSpace config) => AddressRange.Of(
        Address(config, PciBridgeRegister.PrefetchableBase) | ((ulong)config.Get32(PciBridgeRegister.PrefetchableBaseUpper) << 32),
        Address(config, PciBridgeRegister.PrefetchableLimit) | ((ulong)config.Get32(PciBridgeRegister.PrefetchableLimitUpper) << 32),
        MemoryGranularity);

    private static ulong Address(PciConfigSpace config, int register) => (ulong)(config.Get16(register) & MemoryAddressBits) << 16;

    private readonly record struct AddressRange(ulong First, ulong Last)
    {
        public static AddressRange Closed => new(1, 0);

        public static AddressRange Of(ulong first, ulong limit, ulong granularity) =>
            limit < first ? Closed : new(first, limit | (granularity - 1));

        public bool Covers(ulong address, ulong size) => address >= First && address <= Last && size - 1 <= Last - address;
    }

    private readonly record struct Ways(AddressRange Io, AddressRange Memory, AddressRange Prefetchable, bool Isa);
}
