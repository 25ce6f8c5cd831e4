using System.Buffers.Binary;
using System.Numerics;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Pci;
using WebVm.Vmm.Memory;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Devices.Display.Bochs;

/// <summary>
/// A linear framebuffer compatible with QEMU's bochs-display (PCI 1234:1111): BAR 0 is its memory, BAR 2 its registers: EDID at 0, VGA
/// ports at 0x400, the Bochs display interface at 0x500, QEMU's extension at 0x600.
/// </summary>
public sealed class BochsDisplay : IPciDevice, IMmioHandler, IDeviceMemory, IDisplay, IFirmwareSetUp, ISavedState<BochsDisplay.State>
{
    /// <summary>Bytes of display memory: that of other displays of this kind, or more where the preferred mode needs it.</summary>
    public const ulong SmallestMemory = 16 << 20;

    private const ulong RegistersSize = 0x1000;
    private const int EdidEnd = 0x400;
    private const int Dispi = 0x500;
    private const int DispiEnd = Dispi + (DispiRegister.Count * 2);
    private const int Extension = 0x600;
    private const int ExtensionEnd = Extension + ExtensionLength;
    private const int ExtensionLength = 8;
    private const uint LittleEndian = 0x1e1e1e1e;
    private const int MinimumExtent = 64;
    private const ulong BytesPerPixel = 4;

    private readonly Lock _lock = new();
    private readonly GuestMemory _memory;
    private readonly int _width;
    private readonly int _height;
    private readonly ushort[] _registers = new ushort[DispiRegister.Count];
    private byte[] _edid;
    private int _modeVersion;
    private PowerLevel _level;

    /// <summary>What a viewer asked for while the machine stood still.</summary>
    private (int Width, int Height)? _nextPreferred;

    /// <param name="preferredWidth">The mode that the monitor asks for, and that firmware switches on.</param>
    public BochsDisplay(GuestMemory memory, int preferredWidth = 1024, int preferredHeight = 768)
    {
        ulong size = Math.Max(
            SmallestMemory, BitOperations.RoundUpToPowerOf2((ulong)preferredWidth * (ulong)preferredHeight * BytesPerPixel));
        _memory = memory;
        _width = preferredWidth;
        _height = preferredHeight;
        Memory = memory.CreateRegion("vram", GuestMemoryKind.Device, size);
        MemoryRegions = [Memory];
        _edid = Edid.Create(preferredWidth, preferredHeight, size);
        PreferredWidth = preferredWidth;
        PreferredHeight = preferredHeight;
        // Revision 2 has an EDID; the subsystem is the one that Linux's bochs driver looks for.
        Function = new PciFunction(new PciIdentity
        {
            Vendor = 0x1234, Device = 0x1111, ClassCode = 0x038000, Revision = 2, SubsystemVendor = 0x1af4, SubsystemDevice = 0x1100,
        });
        Function.AddBar(0, PciBar.ForMemory(Memory));
        Function.AddBar(2, PciBar.ForRegisters(RegistersSize, this, width: 4));
        Function.AddExpressCapability();
        Function.AddPowerManagement();
    }

    public string Name { get; init; } = "display";

    public StateSchema<State> Schema => BochsDisplayStateJson.Schema;

    public PciFunction Function { get; }

    public InputGate Input { get; } = new();

    public GuestMemoryRegion Memory { get; }

    public IReadOnlyList<GuestMemoryRegion> MemoryRegions { get; }

    public int PreferredWidth { get; private set; }

    public int PreferredHeight { get; private set; }

    public GuestPhysicalAddress? FramebufferAddress => Function.AddressOf(0) is { } address ? new GuestPhysicalAddress(address) : null;

    /// <summary>Advances with every change of a register that can change the mode.</summary>
    public int ModeVersion => Volatile.Read(ref _modeVersion);

    /// <summary>What is shown now, or null while the display is off or asleep, or its registers make no sense.</summary>
    public DisplayMode? Mode
    {
        get
        {
            lock (_lock)
            {
                return _level == PowerLevel.Full ? ComputeMode() : null;
            }
        }
    }

    public void Reset()
    {
        lock (_lock)
        {
            Array.Clear(_registers);
            _level = PowerLevel.Full;
            _modeVersion++;
        }

        Function.Reset();
    }

    public void Start()
    {
        lock (_lock)
        {
            if (_nextPreferred is var (width, height))
            {
                _nextPreferred = null;
                Prefer(width, height);
            }
        }
    }

    public void EnterLevel(PowerLevel level)
    {
        lock (_lock)
        {
            _level = level;
            _modeVersion++;
        }
    }

    public void SetUp()
    {
        _memory.Clear(Memory);
        SetMode(_width, _height);
    }

    /// <summary>Switches the display on as firmware does, 32 bits a pixel, for a kernel that takes the screen as it finds it.</summary>
    /// <exception cref="ArgumentException">The mode does not fit into the display memory.</exception>
    public DisplayMode SetMode(int width, int height)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)width, ushort.MaxValue, nameof(width));
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)height, ushort.MaxValue, nameof(height));
        lock (_lock)
        {
            ushort[] before = [.. _registers];
            Array.Clear(_registers);
            _registers[DispiRegister.Width] = (ushort)width;
            _registers[DispiRegister.Height] = (ushort)height;
            _registers[DispiRegister.VirtualWidth] = (ushort)width;
            _registers[DispiRegister.VirtualHeight] = (ushort)height;
            _registers[DispiRegister.BitsPerPixel] = 32;
            _registers[DispiRegister.Enable] = DispiRegister.Enabled | DispiRegister.LinearFramebuffer;
            _modeVersion++;
            if (ComputeMode() is { } mode)
            {
                return mode;
            }

            before.CopyTo(_registers, 0);
            throw new ArgumentException($"The display has no mode of {width} by {height} pixels.");
        }
    }

    /// <summary>The viewer's size changed: the monitor asks for another mode the next time the guest reads its EDID.</summary>
    /// <returns>False, and no change, for a mode that the display does not have.</returns>
    public bool SetPreferredMode(int width, int height)
    {
        if (!CanPrefer(width, height))
        {
            return false;
        }

        using var entry = Input.Enter();
        lock (_lock)
        {
            if (entry.Granted)
            {
                Prefer(width, height);
            }
            else
            {
                _nextPreferred = (width, height);
            }
        }

        return true;
    }

    public ulong ReadMmio(ulong offset, int size)
    {
        lock (_lock)
        {
            uint value = 0;
            for (int i = 0; i < size; i++)
            {
                value |= (uint)ReadByte((int)offset + i) << (i * 8);
            }

            return value;
        }
    }

    public void WriteMmio(ulong offset, int size, ulong value)
    {
        lock (_lock)
        {
            // Registers of 16 bits: a wider write reaches two, a narrower one half of one.
            for (int i = 0; i < size; i++)
            {
                int at = (int)offset + i - Dispi;
                if (at is >= 0 and < DispiEnd - Dispi)
                {
                    WriteDispiByte(at, (byte)(value >> (i * 8)));
                }
            }
        }
    }

    public State Save()
    {
        lock (_lock)
        {
            return new State([.. _registers], PreferredWidth, PreferredHeight, Function.Save());
        }
    }

    public void Load(State state)
    {
        if (state.Registers.Length != DispiRegister.Count || !CanPrefer(state.PreferredWidth, state.PreferredHeight))
        {
            throw new InvalidDataException("The saved registers are not those of this display.");
        }

        Function.Load(state.Function);
        lock (_lock)
        {
            Prefer(state.PreferredWidth, state.PreferredHeight);
            state.Registers.CopyTo(_registers, 0);
            _modeVersion++;
        }
    }

    private void Prefer(int width, int height)
    {
        _edid = Edid.Create(width, height, Memory.Size);
        PreferredWidth = width;
        PreferredHeight = height;
    }

    private byte ReadByte(int offset) => offset switch
    {
        < EdidEnd => offset < _edid.Length ? _edid[offset] : (byte)0,
        >= Dispi and < DispiEnd => (byte)(ReadDispi((offset - Dispi) >> 1) >> ((offset & 1) * 8)),
        >= Extension and < ExtensionEnd => ReadExtension(offset - Extension),
        _ => 0,
    };

    private bool CanPrefer(int width, int height) =>
        width is >= MinimumExtent and <= Edid.MaximumWidth && height is >= MinimumExtent and <= Edid.MaximumHeight
        && (ulong)width * (ulong)height * BytesPerPixel <= Memory.Size;

    private ushort ReadDispi(int index) => index switch
    {
        DispiRegister.Id => DispiRegister.Version,
        DispiRegister.MemoryIn64K => (ushort)(Memory.Size >> 16),
        _ => _registers[index],
    };

    /// <summary>The extension's length, then the byte order of the pixels: this display knows one.</summary>
    private static byte ReadExtension(int offset)
    {
        Span<byte> bytes = stackalloc byte[ExtensionLength];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, ExtensionLength);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[4..], LittleEndian);
        return bytes[offset];
    }

    private void WriteDispiByte(int offset, byte value)
    {
        int index = offset >> 1;
        int shift = (offset & 1) * 8;
        _registers[index] = (ushort)((_registers[index] & ~(0xff << shift)) | (value << shift));
        _modeVersion++;
    }

    /// <summary>Makes sense of the registers, none of which can be trusted: the result lies within the display memory.</summary>
    private DisplayMode? ComputeMode()
    {
        int width = _registers[DispiRegister.Width];
        int height = _registers[DispiRegister.Height];
        int bits = _registers[DispiRegister.BitsPerPixel];
        if ((_registers[DispiRegister.Enable] & DispiRegister.Enabled) == 0 || bits is not (16 or 24 or 32) || width < MinimumExtent
            || height < MinimumExtent)
        {
            return null;
        }

        long bytes = bits / 8;
        long stride = Math.Max(width, (int)_registers[DispiRegister.VirtualWidth]) * bytes;
        long offset = (_registers[DispiRegister.OffsetX] * bytes) + (_registers[DispiRegister.OffsetY] * stride);
        long end = offset + ((height - 1) * stride) + (width * bytes);
        return end <= (long)Memory.Size ? new DisplayMode(width, height, bits, (int)stride, (int)offset) : null;
    }

    public sealed record State(ushort[] Registers, int PreferredWidth, int PreferredHeight, PciFunctionState Function);
}
