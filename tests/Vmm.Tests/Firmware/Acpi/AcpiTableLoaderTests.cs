using System.Buffers.Binary;
using System.Text;
using WebVm.Vmm.Devices;
using WebVm.Vmm.Devices.FirmwareConfig;
using WebVm.Vmm.Firmware;
using WebVm.Vmm.Firmware.Acpi;
using WebVm.Vmm.Firmware.Boot;
using WebVm.Vmm.Firmware.Description;
using WebVm.Vmm.Machine.Assembly;
using WebVm.Vmm.Machine.Profiles;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Tests.Devices.Doubles;
using Xunit;

namespace WebVm.Vmm.Tests.Firmware.Acpi;

public sealed class AcpiTableLoaderTests
{
    private static readonly PlatformDescription s_machine = new()
    {
        Cpus = [new(0, 0, 0), new(1, 1, 1)],
        Memory = [new(new(0), 1 << 28, 0), new(new(1 << 28), 1 << 28, 1)],
        NodeCount = 2,
        Devices = PcDevices.Create(hpet: true),
    };

    [Fact]
    public void Following_the_script_gives_the_same_tables_as_placing_them_directly()
    {
        var set = AcpiTableSet.Create(s_machine);
        var loader = new AcpiTableLoader(set);
        const ulong tablesAt = 0x7ff0_0000;
        Dictionary<string, (byte[] Bytes, ulong Address)> files = new()
        {
            [AcpiTableLoader.TablesFile] = ((byte[])loader.Tables.Clone(), tablesAt),
            [AcpiTableLoader.RootPointerFile] = ((byte[])loader.RootPointer.Clone(), 0xf_5000),
        };
        HashSet<string> allocated = [];
        for (int at = 0; at < loader.Script.Length; at += AcpiTableLoader.CommandSize)
        {
            var command = loader.Script.AsSpan(at, AcpiTableLoader.CommandSize);
            string file = Name(command[4..]);
            switch (BinaryPrimitives.ReadUInt32LittleEndian(command))
            {
                case 1:
                    Assert.True(allocated.Add(file));
                    break;
                case 2:
                    string target = Name(command[60..]);
                    Assert.Contains(file, allocated);
                    Assert.Contains(target, allocated);
                    var field = files[file].Bytes.AsSpan((int)BinaryPrimitives.ReadUInt32LittleEndian(command[116..]), command[120]);
                    ulong value = field.Length == 4
                        ? BinaryPrimitives.ReadUInt32LittleEndian(field)
                        : BinaryPrimitives.ReadUInt64LittleEndian(field);
                    value += files[target].Address;
                    if (field.Length == 4)
                    {
                        BinaryPrimitives.WriteUInt32LittleEndian(field, (uint)value);
                    }
                    else
                    {
                        BinaryPrimitives.WriteUInt64LittleEndian(field, value);
                    }

                    break;
                case 3:
                    byte[] bytes = files[file].Bytes;
                    int offset = (int)BinaryPrimitives.ReadUInt32LittleEndian(command[60..]);
                    int start = (int)BinaryPrimitives.ReadUInt32LittleEndian(command[64..]);
                    int length = (int)BinaryPrimitives.ReadUInt32LittleEndian(command[68..]);
                    bytes[offset] = (byte)(bytes[offset] - bytes.AsSpan(start, length).ToArray().Sum(b => b));
                    break;
                default:
                    Assert.Fail("unknown command");
                    break;
            }
        }

        Assert.Equal(set.Build(new(tablesAt)), files[AcpiTableLoader.TablesFile].Bytes);
        Assert.Equal(set.BuildRootPointer(new(tablesAt)), files[AcpiTableLoader.RootPointerFile].Bytes);

        static string Name(ReadOnlySpan<byte> field) => Encoding.ASCII.GetString(field[..field.IndexOf((byte)0)]);
    }

    [Fact]
    public void Firmware_finds_its_files_in_fw_cfg()
    {
        var items = new FwCfgItems();
        using var memory = new GuestMemory();
        Assert.True(memory.TryMap(memory.CreateRegion("ram", GuestMemoryKind.Ram, 1 << 29), new(0)));
        var map = MemoryMap.Of(memory, PlatformMap.Direct, []);
        FirmwareConfiguration.Fill(items, () => s_machine, memory, hasDisplay: true);

        string[] files = ["etc/e820", "etc/acpi/tables", "etc/acpi/rsdp", "etc/table-loader", "etc/smbios/smbios-tables",
            "etc/smbios/smbios-anchor"];
        foreach (string file in files)
        {
            Assert.True(items.SelectorOf(file) is { } key && items.TryGet(key, out var data) && !data.IsEmpty, file);
        }

        Assert.True(items.TryGet(items.SelectorOf("etc/e820")!.Value, out var entries));
        Assert.Equal(map.Entries.Count * 20, entries.Length);
    }

    [Fact]
    public void Tables_are_of_the_map_that_firmware_has_set_up_by_the_time_it_asks_for_them()
    {
        var spec = new MachineSpec
        {
            Engine = EngineChoice.Soft,
            Memory = 5UL << 30,
            Devices = [.. Profile.Pc.Select(device => device.Id == "pci" ? device.WithSettings("""{"chipset":"q35"}""") : device)],
        };
        using var machine = MachineAssembly.Assemble(spec);
        var bus = machine.Platform.Bus;
        machine.Platform.Devices.PowerUp();
        machine.Platform.Devices.Start();
        // What the clock's memory says of RAM: below 4 GiB beyond 16 MiB, and above 4 GiB, both in 64 KiB.
        Assert.Equal((0x7f00u, 0xc000u), (Clock(0x34) | (Clock(0x35) << 8), Clock(0x5b) | (Clock(0x5c) << 8) | (Clock(0x5d) << 16)));
        byte[] before = Item("etc/acpi/tables");
        Assert.False(Has(before, "MCFG"u8));

        Config(0x60, 0xb000_0001);
        byte[] after = Item("etc/acpi/tables");
        Assert.Equal(before.Length, after.Length);
        Assert.Equal(0, Item("etc/table-loader").Length % 4096);
        int table = after.AsSpan().IndexOf("MCFG"u8);
        Assert.Equal(0xb000_0000UL, BinaryPrimitives.ReadUInt64LittleEndian(after.AsSpan(table + 44)));
        // _CRS: 80000000-afffffff and c0000000-febfffff.
        Assert.True(Has(after, [0x87, 23, 0, 0, 0x0c, 1, 0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0xff, 0xff, 0xaf]));
        Assert.True(Has(after, [0x87, 23, 0, 0, 0x0c, 1, 0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff, 0xbf, 0xfe]));
        Assert.False(Has(before, [0xff, 0xff, 0xff, 0xaf]));
        byte[] map = Item("etc/e820");
        Assert.True(Has(map, [0, 0, 0, 0xb0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 2, 0, 0, 0]));
        Assert.True(Has(map, [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 1, 0, 0, 0]));

        static bool Has(byte[] bytes, ReadOnlySpan<byte> part) => bytes.AsSpan().IndexOf(part) >= 0;

        uint Clock(uint register)
        {
            bus.WritePort(0x70, 1, register);
            return bus.ReadPort(0x71, 1);
        }

        void Config(uint register, uint value)
        {
            bus.WritePort(0xcf8, 4, 0x8000_0000 | register);
            bus.WritePort(0xcfc, 4, value);
        }

        byte[] Item(string file)
        {
            bus.WritePort(FwCfg.Port, 2, FwCfgKey.FileDirectory);
            byte[] count = [.. Enumerable.Range(0, 4).Select(_ => (byte)bus.ReadPort(FwCfg.Port + 1, 1))];
            for (uint i = BinaryPrimitives.ReadUInt32BigEndian(count); i > 0; i--)
            {
                byte[] entry = [.. Enumerable.Range(0, 64).Select(_ => (byte)bus.ReadPort(FwCfg.Port + 1, 1))];
                if (Encoding.ASCII.GetString(entry.AsSpan(8)).TrimEnd('\0') == file)
                {
                    bus.WritePort(FwCfg.Port, 2, BinaryPrimitives.ReadUInt16BigEndian(entry.AsSpan(4)));
                    return [.. Enumerable.Range(0, BinaryPrimitives.ReadInt32BigEndian(entry))
                        .Select(_ => (byte)bus.ReadPort(FwCfg.Port + 1, 1))];
                }
            }

            throw new InvalidOperationException($"There is no {file}.");
        }
    }
}
