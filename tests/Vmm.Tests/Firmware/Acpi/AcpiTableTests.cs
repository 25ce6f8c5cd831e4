using System.Buffers.Binary;
using System.Text;
using System.Text.RegularExpressions;
using WebVm.Vmm.Acpi;
using WebVm.Vmm.Devices;
using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Firmware.Acpi;
using WebVm.Vmm.Firmware.Description;
using WebVm.Vmm.Machine.Profiles;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Tests.Devices.Doubles;
using Xunit;

namespace WebVm.Vmm.Tests.Firmware.Acpi;

public sealed partial class AcpiTableTests
{
    private static readonly GuestPhysicalAddress s_block = new(0x1ff0_0000);

    public static TheoryData<int, int, bool> Machines => new()
    {
        { 1, 0, false }, { 1, 1, true }, { 2, 2, false }, { 3, 2, true }, { 4, 4, false }, { 16, 3, true }, { 64, 8, false },
        { 300, 8, true },
    };

    [Theory]
    [MemberData(nameof(Machines))]
    public void Every_table_survives_disassembly_and_recompilation_without_error_or_warning(int cpus, int nodes, bool hpet)
    {
        var set = AcpiTableSet.Create(Machine(cpus, nodes, hpet));
        using var iasl = new Iasl();
        foreach (var table in set.Tables)
        {
            byte[] bytes = table.Resolve(target => set.AddressOf(target, s_block).Value);
            var result = iasl.RoundTrip(table.Signature, bytes);
            string what =
                $"{table.Signature} of {cpus} CPUs, {nodes} nodes, hpet {hpet}:\n{result.Disassembly}\n{result.Compilation}\n{result.Source}";

            Assert.False(Complaints().IsMatch(result.Disassembly), what);
            Assert.True(NoComplaint().IsMatch(result.Compilation), what);
            Assert.DoesNotContain("Unknown", result.Source, StringComparison.Ordinal);
            // The compiler puts its own name and the checksum that follows from it into the header.
            Assert.True(WithoutCreator(bytes).SequenceEqual(WithoutCreator(result.Recompiled)), $"recompiled bytes differ: {what}");
        }
    }

    [Theory]
    [MemberData(nameof(Machines))]
    public void Every_checksum_is_right_and_every_pointer_leads_to_its_table(int cpus, int nodes, bool hpet)
    {
        var set = AcpiTableSet.Create(Machine(cpus, nodes, hpet));
        byte[] block = set.Build(s_block);
        byte[] root = set.BuildRootPointer(s_block);

        Assert.Equal(0, Sum(root.AsSpan(0, 20)));
        Assert.Equal(0, Sum(root));
        var xsdt = TableAt(block, BinaryPrimitives.ReadUInt64LittleEndian(root.AsSpan(24)), "XSDT");
        List<string> found = [];
        for (int at = AcpiTable.HeaderSize; at < xsdt.Length; at += 8)
        {
            ulong address = BinaryPrimitives.ReadUInt64LittleEndian(xsdt[at..]);
            string signature = Encoding.ASCII.GetString(block, (int)(address - s_block.Value), 4);
            found.Add(signature);
            var table = TableAt(block, address, signature);
            if (signature == "FACP")
            {
                TableAt(block, BinaryPrimitives.ReadUInt32LittleEndian(table[40..]), "DSDT");
                Assert.Equal(BinaryPrimitives.ReadUInt32LittleEndian(table[40..]), BinaryPrimitives.ReadUInt64LittleEndian(table[140..]));
                uint facs = BinaryPrimitives.ReadUInt32LittleEndian(table[36..]);
                Assert.Equal("FACS", Encoding.ASCII.GetString(block, (int)(facs - s_block.Value), 4));
                Assert.Equal(0u, facs % 64);
            }
        }

        string[] expected = [.. new[] { "FACP", "APIC", "MCFG" }, .. hpet
            ? ["HPET"]
            : Array.Empty<string>(), .. nodes > 0 ? ["SRAT", "SLIT"] : Array.Empty<string>()];
        Assert.Equal(expected, found);
    }

    [Theory]
    [InlineData(true, "0x1D")]
    [InlineData(false, "0x1C")]
    public void Ports_stand_in_the_table_with_their_wires_and_native_hot_plug_is_granted_where_there_is_some(bool hotPlug, string granted)
    {
        var port = new DeviceSpec("port", "pcie.root-port") { At = "pci:05.2" }.WithSettings(
            $$"""{"hotPlug":{{(hotPlug ? "true" : "false")}}}""");
        var machine = Machine(
            cpus: 1, nodes: 1, hpet: false) with { Devices = PcDevices.Create(new MachineSpec { Devices = [.. Profile.Pc, port] }) };
        var set = AcpiTableSet.Create(machine);
        byte[] bytes = set.Tables.Single(table => table.Signature == "DSDT").Resolve(target => set.AddressOf(target, s_block).Value);
        using var iasl = new Iasl();
        var result = iasl.RoundTrip("DSDT", bytes);
        Assert.True(NoComplaint().IsMatch(result.Compilation), result.Compilation);
        Assert.True(WithoutCreator(bytes).SequenceEqual(WithoutCreator(result.Recompiled)), result.Source);
        Assert.Matches(@"Device \(PT2A\)\s*\{\s*Name \(_ADR, 0x00050002\)", result.Source);
        // INTA# of what is behind device 5 is INTA# of the port: GSI 16 + 5 mod 4.
        Assert.Matches(@"Device \(PT2A\)[\s\S]*Package \(0x04\)\s*\{\s*0xFFFF,\s*Zero,\s*Zero,\s*0x11", result.Source);
        Assert.Contains($"Local0 = (CDW3 & {granted})", result.Source, StringComparison.Ordinal);
    }

    [Fact]
    public void A_machine_without_ports_grants_no_native_hot_plug()
    {
        using var iasl = new Iasl();
        Assert.Contains(
            "Local0 = (CDW3 & 0x1C)", iasl.RoundTrip("DSDT", Resolve(Machine(cpus: 1, nodes: 0, hpet: false), "DSDT")).Source,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_processor_that_may_be_added_is_online_capable_and_not_there()
    {
        var machine = Machine(cpus: 3, nodes: 0, hpet: false);
        machine = machine with { Cpus = [.. machine.Cpus.Select((cpu, index) => cpu with { Enabled = index < 2 })] };
        using var iasl = new Iasl();
        string source = iasl.RoundTrip("APIC", Resolve(machine, "APIC")).Source;
        Assert.Equal(["1", "1", "0"], Regex.Matches(source, @"Processor Enabled : (\d)").Select(match => match.Groups[1].Value));
        Assert.Equal(["0", "0", "1"], Regex.Matches(source, @"Runtime Online Capable : (\d)").Select(match => match.Groups[1].Value));
        var result = iasl.RoundTrip("DSDT", Resolve(machine, "DSDT"));
        Assert.True(NoComplaint().IsMatch(result.Compilation), result.Compilation);
        Assert.Matches(@"Device \(C002\)\s*\{[^}]*Name \(_STA, Zero\)", result.Source);
        Assert.Single(Regex.Matches(result.Source, @"Name \(_STA, Zero\)"));
    }

    [Fact]
    public void The_affinity_table_names_the_node_of_every_processor_and_memory_range()
    {
        var machine = Machine(cpus: 3, nodes: 2, hpet: false) with
        {
            Memory = [new(
                new(0), 0x1000_0000, 0), new(new(0x1000_0000), 0x2000_0000, 1),
                new(new(PlatformMap.HighMemory), 1UL << 32, 1, HotPluggable: true)],
        };
        using var iasl = new Iasl();
        string source = iasl.RoundTrip("SRAT", Resolve(machine, "SRAT")).Source;

        string[] domains = [.. ProximityDomain().Matches(source).Select(match => match.Groups[1].Value)];
        Assert.Equal(["00", "00", "01", "00000000", "00000001", "00000001"], domains);
        Assert.Equal(["00", "02", "01"], Regex.Matches(source, @"Apic ID : (\w\w)").Select(match => match.Groups[1].Value));
        Assert.Equal(1, HotPluggable().Count(source));
        Assert.Matches(@"Base Address : 0000000100000000[\s\S]*Address Length : 0000000100000000", source);
    }

    [Fact]
    public void Distances_stand_in_the_table_as_given()
    {
        var machine = Machine(cpus: 2, nodes: 2, hpet: false) with { Distances = [[10, 33], [44, 10]] };

        Assert.Equal(new byte[] { 10, 33, 44, 10 }, Resolve(machine, "SLIT")[^4..]);
    }

    [Fact]
    public void Processors_beyond_254_have_x2_APIC_entries()
    {
        using var iasl = new Iasl();
        string source = iasl.RoundTrip("APIC", Resolve(Machine(cpus: 300, nodes: 0, hpet: false), "APIC")).Source;

        Assert.Equal(255, Regex.Count(source, @"\[Processor Local APIC\]"));
        Assert.Equal(45, Regex.Count(source, @"\[Processor Local x2APIC\]"));
        Assert.Single(Regex.Matches(source, @"\[Local x2APIC NMI\]"));
    }

    [Fact]
    public void A_description_that_contradicts_itself_is_refused()
    {
        var good = Machine(cpus: 2, nodes: 2, hpet: false);
        PlatformDescription[] wrong =
        [
            good with { Cpus = [] },
            good with { Cpus = [new(0, 0), new(1, 0)] },
            good with { Cpus = [new(0, 0, Node: 2)] },
            good with { Memory = [new(new(0), 0)] },
            good with { Memory = [new(new(1), ulong.MaxValue)] },
            good with { Distances = [[10, 20]] },
            good with { Distances = [[10, 20], [20, 11]] },
            good with { Distances = [[10, 9], [20, 10]] },
        ];

        Assert.All(wrong, description => Assert.Throws<ArgumentException>(() => AcpiTableSet.Create(description)));
    }

    private static PlatformDescription Machine(int cpus, int nodes, bool hpet) => new()
    {
        Cpus = [.. Enumerable.Range(0, cpus).Select(i => new PlatformCpu((uint)i, (uint)i, i % Math.Max(nodes, 1)))],
        Memory = [.. Enumerable.Range(0, Math.Max(nodes, 1)).Select(i => new PlatformMemory(new((ulong)i << 28), 1 << 28, i))],
        NodeCount = nodes,
        Devices = PcDevices.Create(hpet, serialPorts: 2),
    };

    private static byte[] Resolve(PlatformDescription machine, string signature)
    {
        var set = AcpiTableSet.Create(machine);
        return set.Tables.Single(table => table.Signature == signature).Resolve(target => set.AddressOf(target, s_block).Value);
    }

    private static Span<byte> TableAt(byte[] block, ulong address, string signature)
    {
        Assert.InRange(address, s_block.Value, s_block.Value + (ulong)block.Length - 1);
        var table = block.AsSpan((int)(address - s_block.Value));
        table = table[..(int)BinaryPrimitives.ReadUInt32LittleEndian(table[4..])];
        Assert.Equal(signature, Encoding.ASCII.GetString(table[..4]));
        Assert.Equal(0, Sum(table));
        return table;
    }

    private static byte[] WithoutCreator(byte[] table)
    {
        byte[] copy = (byte[])table.Clone();
        if (copy.Length >= AcpiTable.HeaderSize && !copy.AsSpan().StartsWith("FACS"u8))
        {
            copy[9] = 0;
            copy.AsSpan(28, 8).Clear();
        }

        return copy;
    }

    private static byte Sum(ReadOnlySpan<byte> bytes)
    {
        byte sum = 0;
        foreach (byte value in bytes)
        {
            sum += value;
        }

        return sum;
    }

    [GeneratedRegex("(?i)error|warning|invalid|could not")]
    private static partial Regex Complaints();

    [GeneratedRegex(@"Compilation successful\. 0 Errors, 0 Warnings, 0 Remarks")]
    private static partial Regex NoComplaint();

    [GeneratedRegex(@"Proximity Domain(?: Low\(8\))? : ([0-9A-F]+)")]
    private static partial Regex ProximityDomain();

    [GeneratedRegex(@"Hot Pluggable : 1")]
    private static partial Regex HotPluggable();
}
