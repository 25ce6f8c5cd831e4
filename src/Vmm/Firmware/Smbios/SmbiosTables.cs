using System.Buffers.Binary;
using WebVm.Vmm.Acpi;
using WebVm.Vmm.Firmware.Description;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Firmware.Smbios;

/// <summary>The inventory that a guest reads from its firmware (DMTF DSP0134, SMBIOS 3.6).</summary>
public static class SmbiosTables
{
    public const int EntryPointSize = 24;

    private const byte MajorVersion = 3;
    private const byte MinorVersion = 0;

    private const ushort FirmwareHandle = 0x0000;
    private const ushort SystemHandle = 0x0100;
    private const ushort ChassisHandle = 0x0300;
    private const ushort ProcessorHandle = 0x0400;
    private const ushort MemoryArrayHandle = 0x1000;
    private const ushort MemoryDeviceHandle = 0x1100;
    private const ushort MappedMemoryHandle = 0x1300;
    private const ushort BootHandle = 0x2000;
    private const ushort EndHandle = 0x7f00;

    private const ushort NoCache = 0xffff;
    private const ushort NoErrorInformation = 0xfffe;
    private const byte Other = 1;
    private const byte Safe = 3;

    /// <summary>All structures, from type 0 to the end marker.</summary>
    public static byte[] Create(PlatformDescription platform)
    {
        platform.Validate();
        List<byte> table = [];
        SmbiosStructure[] structures =
        [
            Firmware(),
            SystemInformation(platform.Identity),
            Chassis(platform.Identity),
            .. Processors(platform),
            .. MemoryStructures(platform),
            new SmbiosStructure(32, BootHandle, 11),
            new SmbiosStructure(127, EndHandle, 4),
        ];
        foreach (var structure in structures)
        {
            structure.WriteTo(table);
        }

        return [.. table];
    }

    /// <summary>The 64-bit entry point (§5.2.2), to be placed in 0xf0000-0xfffff on a 16-byte boundary.</summary>
    public static byte[] CreateEntryPoint(GuestPhysicalAddress table, int length)
    {
        byte[] bytes = new byte[EntryPointSize];
        "_SM3_"u8.CopyTo(bytes);
        bytes[6] = EntryPointSize;
        bytes[7] = MajorVersion;
        bytes[8] = MinorVersion;
        bytes[10] = 1;
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(12), (uint)length);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(16), table.Value);
        bytes[5] = AcpiTable.Checksum(bytes);
        return bytes;
    }

    /// <summary>Type 0 (§7.1).</summary>
    private static SmbiosStructure Firmware()
    {
        const ulong characteristicsNotSupported = 1 << 3;
        const byte virtualMachine = 1 << 4;
        return new SmbiosStructure(0, FirmwareHandle, 26)
            .Text(4, "WebVm")
            .Text(5, typeof(SmbiosTables).Assembly.GetName().Version?.ToString(3) ?? "0")
            .UInt16(6, 0xf000)
            .Text(8, "01/01/2026")
            .UInt64(10, characteristicsNotSupported)
            .Byte(19, virtualMachine)
            .Byte(20, 0xff)
            .Byte(21, 0xff)
            .Byte(22, 0xff)
            .Byte(23, 0xff);
    }

    /// <summary>Type 1 (§7.2).</summary>
    private static SmbiosStructure SystemInformation(PlatformIdentity identity)
    {
        const byte wokenByPowerSwitch = 6;
        return new SmbiosStructure(1, SystemHandle, 27)
            .Text(4, identity.Manufacturer)
            .Text(5, identity.Product)
            .Text(6, identity.Version)
            .Text(7, identity.SerialNumber)
            // The first three fields little-endian, as Guid lays them out.
            .Bytes(8, identity.Uuid.ToByteArray())
            .Byte(24, wokenByPowerSwitch);
    }

    /// <summary>Type 3 (§7.4).</summary>
    private static SmbiosStructure Chassis(PlatformIdentity identity)
    {
        const byte unknownSecurity = 2;
        return new SmbiosStructure(3, ChassisHandle, 22)
            .Text(4, identity.Manufacturer)
            .Byte(5, Other)
            .Text(6, identity.Version)
            .Byte(9, Safe)
            .Byte(10, Safe)
            .Byte(11, Safe)
            .Byte(12, unknownSecurity);
    }

    /// <summary>Type 4 (§7.5): one socket per virtual NUMA node.</summary>
    private static IEnumerable<SmbiosStructure> Processors(PlatformDescription platform)
    {
        const byte centralProcessor = 3;
        const byte populatedAndEnabled = 0x41;
        const byte useSecondField = 0xff;
        foreach (var (index, socket) in platform.Cpus.Where(cpu => cpu.Enabled).GroupBy(cpu => cpu.Node).OrderBy(group => group.Key)
            .Index())
        {
            int cores = socket.Count();
            byte count = cores < useSecondField ? (byte)cores : useSecondField;
            yield return new SmbiosStructure(4, (ushort)(ProcessorHandle + index), 48)
                .Text(4, $"CPU {socket.Key}")
                .Byte(5, centralProcessor)
                .Byte(6, Other)
                .Text(7, "WebVm")
                .Byte(24, populatedAndEnabled)
                .Byte(25, Other)
                .UInt16(26, NoCache)
                .UInt16(28, NoCache)
                .UInt16(30, NoCache)
                .Byte(35, count)
                .Byte(36, count)
                .Byte(37, count)
                .UInt16(40, Other)
                .UInt16(42, (ushort)cores)
                .UInt16(44, (ushort)cores)
                .UInt16(46, (ushort)cores);
        }
    }

    /// <summary>Types 16, 17 and 19 (§7.17, §7.18, §7.20): one array, a module per node, the places where the modules appear.</summary>
    private static IEnumerable<SmbiosStructure> MemoryStructures(PlatformDescription platform)
    {
        const byte systemMemory = 3;
        const byte noErrorCorrection = 3;
        const uint useExtendedCapacity = 0x8000_0000;
        var present = platform.Memory.Where(range => !range.HotPluggable).ToArray();
        var modules = present.GroupBy(range => range.Node).OrderBy(group => group.Key).ToArray();
        yield return new SmbiosStructure(16, MemoryArrayHandle, 23)
            .Byte(4, Other)
            .Byte(5, systemMemory)
            .Byte(6, noErrorCorrection)
            .UInt32(7, useExtendedCapacity)
            .UInt16(11, NoErrorInformation)
            .UInt16(13, (ushort)modules.Length)
            .UInt64(15, Sum(present));
        foreach (var (index, module) in modules.Index())
        {
            yield return MemoryModule(index, module.Key, Sum(module));
        }

        foreach (var (index, range) in present.Index())
        {
            ulong last = range.Base.Value + range.Length - 1;
            yield return new SmbiosStructure(19, (ushort)(MappedMemoryHandle + index), 31)
                .UInt32(4, uint.MaxValue)
                .UInt32(8, uint.MaxValue)
                .UInt16(12, MemoryArrayHandle)
                .Byte(14, 1)
                .UInt64(15, range.Base.Value)
                .UInt64(23, last);
        }

        static ulong Sum(IEnumerable<PlatformMemory> ranges) => ranges.Aggregate(0UL, (sum, range) => sum + range.Length);
    }

    private static SmbiosStructure MemoryModule(int index, int node, ulong size)
    {
        const ushort width = 64;
        const ushort useExtendedSize = 0x7fff;
        const byte formDimm = 9;
        const byte typeRam = 7;
        const ushort detailOther = 1 << 1;
        ulong megabytes = Math.Max(size >> 20, 1);
        bool extended = megabytes >= useExtendedSize;
        return new SmbiosStructure(17, (ushort)(MemoryDeviceHandle + index), 40)
            .UInt16(4, MemoryArrayHandle)
            .UInt16(6, NoErrorInformation)
            .UInt16(8, width)
            .UInt16(10, width)
            .UInt16(12, extended ? useExtendedSize : (ushort)megabytes)
            .Byte(14, formDimm)
            .Text(16, $"DIMM {node}")
            .Text(17, $"NODE {node}")
            .Byte(18, typeRam)
            .UInt16(19, detailOther)
            .Text(23, "WebVm")
            .UInt32(28, extended ? (uint)megabytes : 0);
    }
}
