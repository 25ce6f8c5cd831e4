using System.Buffers.Binary;
using System.Text;
using WebVm.Vmm.Devices.FirmwareConfig;
using WebVm.Vmm.Firmware;
using WebVm.Vmm.Firmware.Acpi;
using WebVm.Vmm.Firmware.Boot;
using WebVm.Vmm.Firmware.Description;
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
    public void FollowingTheScriptGivesTheSameTablesAsPlacingThemDirectly()
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
                    ulong value = field.Length == 4 ? BinaryPrimitives.ReadUInt32LittleEndian(field) : BinaryPrimitives.ReadUInt64LittleEndian(field);
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
    public void FirmwareFindsItsFilesInFwCfg()
    {
        var items = new FwCfgItems();
        var map = MemoryMap.Create([(new(0), 1 << 29)], MemoryMap.PlatformReservations);
        FirmwareConfiguration.Fill(items, s_machine, map, hasDisplay: true);

        string[] files = ["etc/e820", "etc/acpi/tables", "etc/acpi/rsdp", "etc/table-loader", "etc/smbios/smbios-tables", "etc/smbios/smbios-anchor"];
        foreach (string file in files)
        {
            Assert.True(items.SelectorOf(file) is { } key && items.TryGet(key, out var data) && !data.IsEmpty, file);
        }

        Assert.True(items.TryGet(items.SelectorOf("etc/e820")!.Value, out var entries));
        Assert.Equal(map.Entries.Count * 20, entries.Length);
    }
}
