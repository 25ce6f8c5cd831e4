using System.Buffers.Binary;
using WebVm.Vmm.Devices;
using WebVm.Vmm.Devices.FirmwareConfig;
using WebVm.Vmm.Firmware.Acpi;
using WebVm.Vmm.Firmware.Boot;
using WebVm.Vmm.Firmware.Description;
using WebVm.Vmm.Firmware.Smbios;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Firmware;

/// <summary>Puts what guest firmware (SeaBIOS, OVMF) needs to know of the machine into fw_cfg.</summary>
public static class FirmwareConfiguration
{
    /// <summary>The system address map: entries of address, length and type, 20 bytes each.</summary>
    public const string MemoryMapFile = "etc/e820";

    public const string SmbiosTablesFile = "etc/smbios/smbios-tables";
    public const string SmbiosEntryPointFile = "etc/smbios/smbios-anchor";

    /// <summary>
    /// Room that the files with tables have beyond their contents where firmware changes the map of addresses: its tables are made when
    /// they are asked for, and
    /// may have grown since the directory told their sizes. Zeros are no command of the script, and belong to no table.
    /// </summary>
    private const int Room = 4096;

    /// <param name="describe">The machine, as it is when it is asked.</param>
    /// <param name="memory">With RAM mapped as the guest sees it.</param>
    /// <param name="hasDisplay">The machine has a screen.</param>
    /// <param name="chipset">What has the map of addresses; null for a machine without.</param>
    /// <exception cref="ArgumentException">The description contradicts itself.</exception>
    public static void Fill(
        FwCfgItems items, Func<PlatformDescription> describe, GuestMemory memory, bool hasDisplay, IAddressMap? chipset = null)
    {
        var platform = describe();
        items.Add(FwCfgKey.RamSize, platform.Memory.Aggregate(0UL, (sum, range) => sum + range.Length));
        items.Add(FwCfgKey.CpuCount, (ushort)platform.Cpus.Count(cpu => cpu.Enabled));
        items.Add(FwCfgKey.MaximumCpus, (ushort)platform.Cpus.Count);
        items.Add(FwCfgKey.NoGraphic, (ushort)(hasDisplay ? 0 : 1));
        byte[] inventory = SmbiosTables.Create(platform);
        items.AddFile(SmbiosTablesFile, inventory);
        items.AddFile(SmbiosEntryPointFile, SmbiosTables.CreateEntryPoint(default, inventory.Length));
        bool changes = chipset is { IsProgrammable: true };
        AddTables(items, platform, memory, changes ? Room : 0);
        if (changes)
        {
            var told = platform.Map;
            items.Refresh = () =>
            {
                var map = chipset!.Map;
                if (map != told)
                {
                    told = map;
                    AddTables(items, describe(), memory, Room);
                }
            };
        }
    }

    /// <summary>What depends on the map of addresses: RAM, and all that tables say of PCI.</summary>
    private static void AddTables(FwCfgItems items, PlatformDescription platform, GuestMemory memory, int room)
    {
        var map = MemoryMap.Of(memory, platform.Map, []);
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
        items.AddFile(AcpiTableLoader.TablesFile, Padded(loader.Tables, room));
        items.AddFile(AcpiTableLoader.RootPointerFile, loader.RootPointer);
        items.AddFile(AcpiTableLoader.ScriptFile, Padded(loader.Script, room));
    }

    private static byte[] Padded(byte[] contents, int room)
    {
        byte[] padded = new byte[room == 0 ? contents.Length : (contents.Length + (2 * room) - 1) / room * room];
        contents.CopyTo(padded, 0);
        return padded;
    }
}
