using System.Buffers.Binary;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Firmware.Boot;

namespace WebVm.Vmm.Firmware;

/// <summary>
/// The BIOS data area at 0x400 and the extended one: the little that protected-mode software still reads there without asking a BIOS (IBM
/// PS/2 and PC BIOS Interface Technical Reference, section 3). Linux and Xen find the end of conventional memory by it.
/// </summary>
internal static class BiosDataArea
{
    public const ulong Address = 0x400;
    public const int Size = 0x100;

    private const int SerialPorts = 0x00;
    private const int SerialPortsMax = 4;
    private const int ExtendedSegment = 0x0e;
    private const int Equipment = 0x10;
    private const int BaseMemory = 0x13;

    /// <summary>Equipment word: number of serial ports in bits 11:9, pointing device in bit 2.</summary>
    private const int SerialCountShift = 9;
    private const ushort PointingDevice = 1 << 2;

    public static byte[] Create(FirmwareDescription devices)
    {
        byte[] area = new byte[Size];
        int ports = Math.Min(devices.SerialPorts.Count, SerialPortsMax);
        for (int i = 0; i < ports; i++)
        {
            UInt16(SerialPorts + (i * 2), devices.SerialPorts[i]);
        }

        UInt16(ExtendedSegment, (ushort)(MemoryMap.ExtendedBiosData >> 4));
        UInt16(Equipment, (ushort)((ports << SerialCountShift) | (devices.PointingDevice ? PointingDevice : 0)));
        UInt16(BaseMemory, (ushort)(MemoryMap.ExtendedBiosData >> 10));
        return area;

        void UInt16(int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(area.AsSpan(offset), value);
    }

    /// <summary>The extended area begins with its own size in KiB.</summary>
    public static byte[] CreateExtended() => [(byte)((MemoryMap.VideoMemory - MemoryMap.ExtendedBiosData) >> 10)];
}
