using System.Buffers.Binary;
using System.Diagnostics;
using System.Text;
using WebVm.Vmm.Firmware.Description;
using WebVm.Vmm.Firmware.Smbios;
using Xunit;

namespace WebVm.Vmm.Tests.Firmware.Smbios;

public sealed class SmbiosTests
{
    private static readonly PlatformDescription s_machine = new()
    {
        Cpus = [.. Enumerable.Range(0, 6).Select(i => new PlatformCpu((uint)i, (uint)i, i / 4))],
        Memory = [new(new(0), 1UL << 30, 0), new(new(1UL << 30), 2UL << 30, 1), new(new(4UL << 30), 64UL << 30, 1)],
        NodeCount = 2,
        Identity = new() { SerialNumber = "serial-1", Uuid = new("00112233-4455-6677-8899-aabbccddeeff") },
    };

    [Fact]
    public void Structures_follow_each_other_from_firmware_to_the_end_marker()
    {
        var structures = Walk(SmbiosTables.Create(s_machine));

        Assert.Equal([0, 1, 3, 4, 4, 16, 17, 17, 19, 19, 19, 32, 127], structures.Select(s => (int)s.Type));
        Assert.Equal(structures.Count, structures.Select(s => s.Handle).Distinct().Count());
    }

    [Fact]
    public void The_entry_point_has_a_right_checksum_and_leads_to_the_table()
    {
        byte[] entry = SmbiosTables.CreateEntryPoint(new(0xf0100), 1234);

        Assert.Equal(0, (byte)entry.Sum(b => b));
        Assert.Equal("_SM3_", Encoding.ASCII.GetString(entry, 0, 5));
        Assert.Equal(0xf0100UL, BinaryPrimitives.ReadUInt64LittleEndian(entry.AsSpan(16)));
        Assert.Equal(1234u, BinaryPrimitives.ReadUInt32LittleEndian(entry.AsSpan(12)));
    }

    [Fact]
    public void Dmidecode_reads_the_machine_as_described()
    {
        Assert.SkipUnless(HasDmidecode, "dmidecode is not installed");
        string text = Dmidecode(SmbiosTables.Create(s_machine));

        Assert.Contains("Product Name: WebVm PC", text, StringComparison.Ordinal);
        Assert.Contains("Serial Number: serial-1", text, StringComparison.Ordinal);
        Assert.Contains("UUID: 00112233-4455-6677-8899-aabbccddeeff", text, StringComparison.Ordinal);
        Assert.Contains("System is a virtual machine", text, StringComparison.Ordinal);
        Assert.Contains("Core Count: 4", text, StringComparison.Ordinal);
        Assert.Contains("Core Count: 2", text, StringComparison.Ordinal);
        Assert.Contains("Maximum Capacity: 67 GB", text, StringComparison.Ordinal);
        Assert.Contains("Size: 1 GB", text, StringComparison.Ordinal);
        Assert.Contains("Size: 66 GB", text, StringComparison.Ordinal);
        Assert.Contains("Range Size: 64 GB", text, StringComparison.Ordinal);
        Assert.Contains("End Of Table", text, StringComparison.Ordinal);
        Assert.DoesNotContain("broken", text, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("<BAD INDEX>", text, StringComparison.Ordinal);
        Assert.DoesNotContain("TRUNCATED", text, StringComparison.Ordinal);
    }

    private static List<(byte Type, ushort Handle)> Walk(byte[] table)
    {
        List<(byte, ushort)> structures = [];
        int at = 0;
        while (at < table.Length)
        {
            structures.Add((table[at], BinaryPrimitives.ReadUInt16LittleEndian(table.AsSpan(at + 2))));
            at += table[at + 1];
            at += table.AsSpan(at).IndexOf("\0\0"u8) + 2;
        }

        Assert.Equal(table.Length, at);
        return structures;
    }

    private static bool HasDmidecode => File.Exists("/usr/sbin/dmidecode");

    private static string Dmidecode(byte[] table)
    {
        string file = Path.GetTempFileName();
        try
        {
            // The layout of dmidecode's own dumps: the entry point first, the table 32 bytes into the file.
            byte[] dump = new byte[32 + table.Length];
            SmbiosTables.CreateEntryPoint(new(32), table.Length).CopyTo(dump, 0);
            table.CopyTo(dump, 32);
            File.WriteAllBytes(file, dump);
            using var process = Process.Start(new ProcessStartInfo("/usr/sbin/dmidecode", ["--from-dump", file])
            {
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            })!;
            var error = process.StandardError.ReadToEndAsync();
            string output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return output + error.Result;
        }
        finally
        {
            File.Delete(file);
        }
    }
}
