using System.Buffers.Binary;
using WebVm.Vmm.Acpi;
using WebVm.Vmm.Devices;

namespace WebVm.Vmm.Firmware.Acpi;

/// <summary>FADT (ACPI 6.5 §5.2.9) and FACS (§5.2.10).</summary>
internal static class FixedHardwareTables
{
    public const int ControlStructureSize = 64;

    private const int Length = 276;
    private const byte Revision = 6;
    private const byte MinorRevision = 5;
    private const byte DesktopProfile = 1;

    /// <summary>Where the year's first two digits lie in the CMOS memory.</summary>
    private const byte CenturyIndex = 0x32;

    /// <summary>Latencies that say "not supported" (§5.2.9, P_LVL2_LAT and P_LVL3_LAT).</summary>
    private const ushort NoC2 = 101;
    private const ushort NoC3 = 1001;

    // IA-PC boot architecture flags (§5.2.9.3).
    private const ushort LegacyDevices = 1 << 0;
    private const ushort Has8042 = 1 << 1;
    private const ushort VgaNotPresent = 1 << 2;

    // Fixed feature flags (§5.2.9.2).
    private const uint Wbinvd = 1 << 0;
    private const uint ProcessorC1 = 1 << 2;
    private const uint NoFixedSleepButton = 1 << 5;
    private const uint NoFixedRtcWake = 1 << 6;
    private const uint Timer32Bits = 1 << 8;
    private const uint ResetRegister = 1 << 10;

    private const byte SystemIo = 1;

    public static AcpiTable CreateControlStructure()
    {
        Span<byte> bytes = stackalloc byte[ControlStructureSize];
        bytes.Clear();
        "FACS"u8.CopyTo(bytes);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[4..], ControlStructureSize);
        bytes[32] = 2;
        return AcpiTable.CreateWithoutHeader("FACS", bytes);
    }

    public static AcpiTable Create(PlatformDescription platform, AcpiTable control, AcpiTable namespaceTable)
    {
        var table = AcpiTable.Create("FACP", Revision, new byte[Length - AcpiTable.HeaderSize]);
        // Of the two FACS fields only one may be set; of the two for the DSDT both, to the same address.
        table.Point(36, 4, control);
        table.Point(40, 4, namespaceTable);
        table.Point(140, 8, namespaceTable);

        byte[] bytes = table.Bytes;
        bytes[45] = DesktopProfile;
        UInt16(46, PlatformMap.SciGsi);
        UInt32(48, PlatformMap.SmiCommand);
        bytes[52] = PlatformMap.AcpiEnable;
        bytes[53] = PlatformMap.AcpiDisable;
        UInt32(56, PlatformMap.Pm1Event);
        UInt32(64, PlatformMap.Pm1Control);
        UInt32(76, PlatformMap.PmTimer);
        UInt32(80, PlatformMap.Gpe0);
        bytes[88] = 4;
        bytes[89] = 2;
        bytes[91] = 4;
        bytes[92] = PlatformMap.Gpe0Length;
        UInt16(96, NoC2);
        UInt16(98, NoC3);
        bytes[108] = CenturyIndex;
        UInt16(109, (ushort)(LegacyDevices | VgaNotPresent | (platform.KeyboardController ? Has8042 : 0)));
        UInt32(112, Wbinvd | ProcessorC1 | NoFixedSleepButton | NoFixedRtcWake | ResetRegister
            | (PlatformMap.PmTimerBits == 32 ? Timer32Bits : 0));
        Register(116, PlatformMap.ResetControl, 8, 1);
        bytes[128] = PlatformMap.ResetValue;
        bytes[131] = MinorRevision;
        Register(148, PlatformMap.Pm1Event, 32, 2);
        Register(172, PlatformMap.Pm1Control, 16, 2);
        Register(208, PlatformMap.PmTimer, 32, 3);
        Register(220, PlatformMap.Gpe0, PlatformMap.Gpe0Length * 8, 1);
        "WEBVMVMM"u8.CopyTo(bytes.AsSpan(268));
        return table;

        void UInt16(int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(offset), value);

        void UInt32(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(offset), value);

        void Register(int offset, ushort port, int bits, byte accessSize) =>
            GenericAddress(bytes.AsSpan(offset), SystemIo, port, (byte)bits, accessSize);
    }

    /// <summary>Generic address structure (§5.2.3.2). Access size: 1 byte, 2 word, 3 double word, 4 quad word.</summary>
    public static void GenericAddress(Span<byte> into, byte space, ulong address, byte bits, byte accessSize)
    {
        into[0] = space;
        into[1] = bits;
        into[2] = 0;
        into[3] = accessSize;
        BinaryPrimitives.WriteUInt64LittleEndian(into[4..], address);
    }
}
