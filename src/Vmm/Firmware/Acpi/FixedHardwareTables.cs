using System.Buffers.Binary;
using WebVm.Vmm.Acpi;
using WebVm.Vmm.Acpi.Aml;

namespace WebVm.Vmm.Firmware.Acpi;

/// <summary>FADT (ACPI 6.5 §5.2.9) and FACS (§5.2.10).</summary>
internal static class FixedHardwareTables
{
    public const int ControlStructureSize = 64;

    private const int Length = 276;
    private const byte Revision = 6;
    private const byte MinorRevision = 5;
    private const byte DesktopProfile = 1;

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

    public static AcpiTable CreateControlStructure()
    {
        Span<byte> bytes = stackalloc byte[ControlStructureSize];
        bytes.Clear();
        "FACS"u8.CopyTo(bytes);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[4..], ControlStructureSize);
        bytes[32] = 2;
        return AcpiTable.CreateWithoutHeader("FACS", bytes);
    }

    public static AcpiTable Create(FixedHardware hardware, AcpiTable control, AcpiTable namespaceTable)
    {
        var table = AcpiTable.Create("FACP", Revision, new byte[Length - AcpiTable.HeaderSize]);
        // Of the two FACS fields only one may be set; of the two for the DSDT both, to the same address.
        table.Point(36, 4, control);
        table.Point(40, 4, namespaceTable);
        table.Point(140, 8, namespaceTable);

        byte[] bytes = table.Bytes;
        bytes[45] = DesktopProfile;
        UInt16(46, hardware.SciInterrupt);
        UInt32(48, hardware.SmiCommand);
        bytes[52] = hardware.AcpiEnable;
        bytes[53] = hardware.AcpiDisable;
        UInt32(56, hardware.Pm1Event);
        UInt32(64, hardware.Pm1Control);
        UInt32(76, hardware.PmTimer);
        UInt32(80, hardware.Gpe0);
        bytes[88] = 4;
        bytes[89] = 2;
        bytes[91] = 4;
        bytes[92] = hardware.Gpe0Length;
        UInt16(96, NoC2);
        UInt16(98, NoC3);
        bytes[108] = hardware.CenturyIndex;
        UInt16(109, (ushort)(LegacyDevices | VgaNotPresent | (hardware.KeyboardController ? Has8042 : 0)));
        UInt32(112, Wbinvd | ProcessorC1 | NoFixedSleepButton | NoFixedRtcWake
            | (hardware.ResetPort != 0 ? ResetRegister : 0) | (hardware.PmTimerHas32Bits ? Timer32Bits : 0));
        Register(116, hardware.ResetPort, 8, 1);
        bytes[128] = hardware.ResetValue;
        bytes[131] = MinorRevision;
        Register(148, hardware.Pm1Event, 32, 2);
        Register(172, hardware.Pm1Control, 16, 2);
        Register(208, hardware.PmTimer, 32, 3);
        Register(220, hardware.Gpe0, hardware.Gpe0Length * 8, 1);
        "WEBVMVMM"u8.CopyTo(bytes.AsSpan(268));
        return table;

        void UInt16(int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(offset), value);

        void UInt32(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(offset), value);

        void Register(int offset, ushort port, int bits, byte accessSize) =>
            GenericAddress.Write(bytes.AsSpan(offset), AmlAddressSpace.SystemIo, port, (byte)bits, accessSize);
    }
}
