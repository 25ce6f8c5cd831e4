using WebVm.Vmm.Devices;
using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Devices.FirmwareConfig;
using WebVm.Vmm.Devices.Pci.HostBridge;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Tests.Devices.Hostile;

/// <summary>A guest that does anything it can to its devices, mostly where there are some.</summary>
internal sealed class RandomGuest(WholePlatform platform, int seed)
{
    private static readonly uint[] s_interesting =
    [
        0, 1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80, 0xff, 0xfe, 0xffff, 0x8000, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xfee0_0000, 0xd000_0000,
        0xc000_0000, 0x1000,
    ];

    private readonly Random _random = new(seed);
    private BusWindow[] _windows = [];

    public void Act()
    {
        if (_windows.Length == 0 || _random.Next(512) == 0)
        {
            _windows = [.. platform.Bus.Windows];
        }

        switch (_random.Next(16))
        {
            case 0:
                AnyPort((ushort)_random.Next(65536));
                break;
            case 1:
                AnyMmio((ulong)_random.NextInt64());
                break;
            case 2:
                Configuration();
                break;
            case 3:
                Ram();
                break;
            default:
                var window = _windows[_random.Next(_windows.Length)];
                // Ports of one window, also over its edges; large windows mostly at their start.
                ulong offset = (ulong)_random.NextInt64(-2, (long)Math.Min(window.Size, _random.Next(8) == 0 ? window.Size : 0x800) + 2);
                if (window.IsPort)
                {
                    AnyPort((ushort)(window.First + offset));
                }
                else
                {
                    AnyMmio(window.First + offset);
                }

                break;
        }
    }

    private uint Value() => _random.Next(3) switch
    {
        0 => s_interesting[_random.Next(s_interesting.Length)],
        1 => (uint)_random.Next(256),
        _ => (uint)_random.NextInt64(),
    };

    private void AnyPort(ushort port)
    {
        int size = 1 << _random.Next(3);
        if (_random.Next(2) == 0)
        {
            platform.Bus.ReadPort(port, size);
        }
        else
        {
            platform.Bus.WritePort(port, size, Value());
        }
    }

    private void AnyMmio(ulong address)
    {
        int size = 1 << _random.Next(4);
        if (_random.Next(2) == 0)
        {
            platform.Bus.ReadMmio(new GuestPhysicalAddress(address), size);
        }
        else
        {
            platform.Bus.WriteMmio(new GuestPhysicalAddress(address), size, Value() | ((ulong)Value() << 32));
        }
    }

    /// <summary>
    /// Configuration space of the functions that exist, BARs, windows of bridges and capabilities most of all; and of some that do not.
    /// </summary>
    private void Configuration()
    {
        var functions = platform.Bridge.RootBus.AllFunctions.ToArray();
        int requester = _random.Next(16) == 0 ? _random.Next(65536) : functions[_random.Next(functions.Length)].Requester;
        int register = _random.Next(6) switch
        {
            0 => 4,
            1 => 0x10 + (4 * _random.Next(6)),
            2 => 0x40 + _random.Next(0xc0),
            3 => 0x18 + _random.Next(0x28),
            // Slot and link of a port, whose capability is its first.
            4 => 0x50 + (2 * _random.Next(8)),
            _ => _random.Next(4096),
        };
        uint value = _random.Next(4) switch
        {
            0 or 1 => Value(),
            2 => (uint)PlatformMap.Direct.Memory32.First + ((uint)_random.Next(0x2000) << 16),
            _ => register is 0x18 ? 0x0002_0100u << _random.Next(2) : 0xfff0_0007,
        };
        if (platform.Bridge.IsProgrammable && _random.Next(16) == 0)
        {
            // The map of addresses.
            (requester, register) = (0, _random.Next(5) switch { 0 => 0x60, 1 => 0x64, 2 => 0x90 + _random.Next(7), 3 => 0x9d, _ => 0xb0 });
            value = _random.Next(2) == 0 ? value : (uint)PlatformMap.Direct.Ecam!.Base | 1;
        }

        if (platform.Bridge.Map.Ecam is not { } ecam || _random.Next(8) == 0)
        {
            platform.Bus.WritePort(PciHostBridge.ConfigAddress, 4, 0x8000_0000 | ((uint)requester << 8) | ((uint)register & 0xfc));
            platform.Bus.WritePort((ushort)(PciHostBridge.ConfigAddress + 4 + (register & 3)), 1, value);
            return;
        }

        platform.Bus.WriteMmio(
            new GuestPhysicalAddress(ecam.Base + ((ulong)requester << 12) + (ulong)register), 1 << _random.Next(3), value);
    }

    /// <summary>Something for DMA to find: a plausible fw_cfg descriptor, and the port that starts it.</summary>
    private void Ram()
    {
        Span<byte> descriptor = stackalloc byte[16];
        _random.NextBytes(descriptor);
        descriptor[0] = 0;
        descriptor[1] = (byte)_random.Next(64);
        descriptor[2] = 0;
        descriptor[3] = (byte)_random.Next(32);
        descriptor[4] = (byte)(_random.Next(8) == 0 ? 255 : 0);
        descriptor[5] = 0;
        if (_random.Next(4) != 0)
        {
            descriptor[8..13].Clear();
        }

        ulong address = (ulong)_random.NextInt64((long)WholePlatform.RamSize - 8);
        platform.Memory.TryWrite(new GuestPhysicalAddress(address), descriptor);
        platform.Bus.WritePort(FwCfg.Port + 8, 4, System.Buffers.Binary.BinaryPrimitives.ReverseEndianness((uint)address));
    }
}
