using System.Buffers.Binary;
using WebVm.Vmm.Acpi;
using WebVm.Vmm.Acpi.Aml;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Memory;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Devices.FirmwareConfig;

/// <summary>
/// The fw_cfg device: firmware and kernels read what the machine is made of, byte by byte or by DMA (QEMU docs/specs/fw_cfg). Items are
/// read-only to the guest.
/// </summary>
public sealed class FwCfg(DmaSpace memory, FwCfgItems items)
    : IDevice, IPortMapped, IPortHandler, IFirmwareVisible, ISavedState<FwCfg.State>
{
    public const ushort Port = 0x510;

    internal const int PortCount = 12;

    private const int SelectorPort = 0;
    private const int DataPort = 1;
    private const int DmaHighPort = 4;
    private const int DmaLowPort = 8;

    /// <summary>Reads as "QEMU CFG" from the DMA address register, most significant byte first.</summary>
    private const ulong DmaSignature = 0x51454d5520434647;

    /// <summary>Bit 14 of a selector asks for write access, which no item grants; the item is the same.</summary>
    private const ushort WriteSelector = 0x4000;

    /// <summary>Bytes after an item's end that one DMA operation fills with zeros at most: keeps the time of an access bounded.</summary>
    private const uint LongestFill = 16 << 20;

    [Flags]
    private enum DmaControl : uint
    {
        Error = 1 << 0,
        Read = 1 << 1,
        Skip = 1 << 2,
        Select = 1 << 3,
        Write = 1 << 4,
    }

    private readonly Lock _lock = new();
    private ushort _selector;
    private uint _offset;
    private uint _dmaHigh;

    public string Name { get; init; } = "fw-cfg";

    public StateSchema<State> Schema => FwCfgStateJson.Schema;

    public FwCfgItems Items { get; } = items;

    public IReadOnlyList<PortWindow> PortWindows => [new PortWindow(Port, PortCount, this)];

    public void Describe(FirmwareDescription firmware) =>
        firmware.Acpi.SystemBus.Add(AmlDevices.CreateHidden("FWCF", "QEMU0002", new AmlIoPort(Port, PortCount)));

    public void Reset()
    {
        lock (_lock)
        {
            _selector = 0;
            _offset = 0;
            _dmaHigh = 0;
        }
    }

    /// <summary>A state that was loaded may have an item selected.</summary>
    public void Start()
    {
        lock (_lock)
        {
            Items.Refresh?.Invoke();
        }
    }

    public uint ReadPort(int offset, int size)
    {
        lock (_lock)
        {
            if (offset is SelectorPort or DataPort)
            {
                return size == 1 ? ReadData() : 0u;
            }

            uint value = 0;
            for (int i = 0; i < size && offset + i < PortCount; i++)
            {
                int register = offset + i - DmaHighPort;
                byte part = register < 0 ? (byte)0 : (byte)(DmaSignature >> (56 - (register * 8)));
                value |= (uint)part << (i * 8);
            }

            return value;
        }
    }

    public void WritePort(int offset, int size, uint value)
    {
        lock (_lock)
        {
            switch (offset, size)
            {
                case (SelectorPort, 2):
                    Select((ushort)value);
                    break;
                case (DmaHighPort, 4):
                    _dmaHigh = BinaryPrimitives.ReverseEndianness(value);
                    break;
                case (DmaLowPort, 4):
                    ulong address = ((ulong)_dmaHigh << 32) | BinaryPrimitives.ReverseEndianness(value);
                    _dmaHigh = 0;
                    Transfer(new DmaAddress(address));
                    break;
                default:
                    break; // Data writes have been ignored since QEMU 2.4.
            }
        }
    }

    public State Save()
    {
        lock (_lock)
        {
            return new State(_selector, _offset, _dmaHigh);
        }
    }

    public void Load(State state)
    {
        lock (_lock)
        {
            _selector = state.Selector;
            _offset = state.Offset;
            _dmaHigh = state.DmaAddressHigh;
        }
    }

    private void Select(ushort selector)
    {
        Items.Refresh?.Invoke();
        _selector = (ushort)(selector & ~WriteSelector);
        _offset = 0;
    }

    private byte ReadData() => Items.TryGet(_selector, out var data) && _offset < (uint)data.Length ? data.Span[(int)_offset++] : (byte)0;

    /// <summary>One DMA operation: a 16-byte big-endian descriptor of control, length and address, answered in its control word.</summary>
    private void Transfer(DmaAddress descriptor)
    {
        Span<byte> raw = stackalloc byte[16];
        if (!memory.IsRam(descriptor, (ulong)raw.Length) || !memory.TryRead(descriptor, raw))
        {
            return;
        }

        uint control = BinaryPrimitives.ReadUInt32BigEndian(raw);
        uint length = BinaryPrimitives.ReadUInt32BigEndian(raw[4..]);
        var address = new DmaAddress(BinaryPrimitives.ReadUInt64BigEndian(raw[8..]));
        var operation = (DmaControl)(control & 0xffff);
        if ((operation & DmaControl.Select) != 0)
        {
            Select((ushort)(control >> 16));
        }

        bool done = true;
        if ((operation & DmaControl.Read) != 0)
        {
            done = TryCopy(address, length);
        }
        else if ((operation & DmaControl.Write) != 0)
        {
            done = false;
        }
        else if ((operation & DmaControl.Skip) != 0)
        {
            Advance(length);
        }

        memory.TryWrite(descriptor, done ? 0u : BinaryPrimitives.ReverseEndianness((uint)DmaControl.Error));
    }

    /// <summary>Copies the rest of the item, then zeros. Into ordinary memory only: no device memory, no ROM.</summary>
    private bool TryCopy(DmaAddress address, uint length)
    {
        var rest = Items.TryGet(_selector, out var data) && _offset < (uint)data.Length ? data[(int)_offset..] : default;
        int copied = (int)Math.Min(length, (uint)rest.Length);
        uint filled = length - (uint)copied;
        if (filled > LongestFill || !memory.IsRam(address, length) || !memory.TryWrite(address, rest.Span[..copied])
            || !memory.TryFill(address + (ulong)copied, filled, 0))
        {
            return false;
        }

        Advance(length);
        return true;
    }

    private void Advance(uint length) => _offset = (uint)Math.Min(_offset + (ulong)length, uint.MaxValue);

    public sealed record State(ushort Selector, uint Offset, uint DmaAddressHigh);
}
