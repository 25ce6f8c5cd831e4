using System.Buffers.Binary;
using WebVm.Vmm.Devices.FirmwareConfig;
using WebVm.Vmm.Firmware.Acpi;
using WebVm.Vmm.Firmware.Boot;
using WebVm.Vmm.Firmware.Description;
using WebVm.Vmm.Firmware.Smbios;

namespace WebVm.Vmm.Firmware;

/// <summary>Puts what guest firmware (SeaBIOS, OVMF) needs to know of the machine into fw_cfg.</summary>
public static class FirmwareConfiguration
{
    /// <summary>The system address map: entries of address, length and type, 20 bytes each.</summary>
    public const string MemoryMapFile = "etc/e820";

    public const string SmbiosTablesFile = "etc/smbios/smbios-tables";
    public const string SmbiosEntryPointFile = "etc/smbios/smbios-anchor";

    /// <param name="map">Without the ranges that the firmware will take for its tables.</param>
    /// <exception cref="ArgumentException">The description contradicts itself.</exception>
    /// <param name="hasDisplay">The machine has a screen.</param>
    public static void Fill(FwCfgItems items, PlatformDescription platform, MemoryMap map, bool hasDisplay)
    {
        items.Add(FwCfgKey.RamSize, platform.Memory.Aggregate(0UL, (sum, range) => sum + range.Length));
        items.Add(FwCfgKey.CpuCount, (ushort)platform.Cpus.Count);
        items.Add(FwCfgKey.MaximumCpus, (ushort)platform.Cpus.Count);
        items.Add(FwCfgKey.NoGraphic, (ushort)(hasDisplay ? 0 : 1));
        byte[] entries = new byte[map.Entries.Count * LinuxBootParameters.MapEntrySize];
        for (int i = 0; i < map.Entries.Count; i++)
        {
            var entry = entries.AsSpan(i * LinuxBootParameters.MapEntrySize);
            BinaryPrimitives.WriteUInt64LittleEndian(entry, map.Entries[i].Base.Value);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], map.Entries[i].Length);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[16..], (uint)map.Entries[i].Type);
        }

        items.AddFile(MemoryMapFile, entries);
        var loader = new AcpiTableLoader(AcpiTableSet.Create(platform));
        items.AddFile(AcpiTableLoader.TablesFile, loader.Tables);
        items.AddFile(AcpiTableLoader.RootPointerFile, loader.RootPointer);
        items.AddFile(AcpiTableLoader.ScriptFile, loader.Script);
        byte[] inventory = SmbiosTables.Create(platform);
        items.AddFile(SmbiosTablesFile, inventory);
        items.AddFile(SmbiosEntryPointFile, SmbiosTables.CreateEntryPoint(default, inventory.Length));
    }
}
