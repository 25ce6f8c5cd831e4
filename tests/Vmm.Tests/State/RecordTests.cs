using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Devices.BuiltIn;
using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Machine.Saving;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.State;
using WebVm.Vmm.Tests.Architecture;
using Xunit;

namespace WebVm.Vmm.Tests.State;

/// <summary>
/// What is saved is written down in records.txt, version by version. A state that lies on somebody's disk does not change when the program
/// does: a record that looks otherwise is another version.
/// </summary>
public sealed class RecordTests
{
    /// <summary>Asks for what is new to be written down; what is there already is never changed.</summary>
    private const string Order = "WEBVM_RECORDS";

    private const string HowToWrite =
        $"{Order}=write tests/Vmm.Tests/bin/Release/net10.0/Vmm.Tests -explicit on -method '*.What_is_new_is_written_down'";

    private static string File => Path.Combine(Repository.Root, "tests", "Vmm.Tests", "State", "records.txt");

    [Fact]
    public void A_record_looks_as_it_is_written_down_for_its_version()
    {
        var faults = Faults(Read(System.IO.File.ReadAllLines(File)), Current());
        Assert.True(faults.Count == 0, string.Join(Environment.NewLine, faults));
    }

    [Fact(Explicit = true)]
    public void What_is_new_is_written_down()
    {
        Assert.SkipUnless(
            Environment.GetEnvironmentVariable(Order) == "write", $"{Order}=write adds to records.txt what it does not have.");
        var recorded = Read(System.IO.File.ReadAllLines(File));
        foreach (var (name, lines) in Current())
        {
            // What may grow does so in its place.
            if (MayGrow(name) && recorded.TryGetValue(name, out var before))
            {
                recorded[name] = [.. before.Union(lines).Order(StringComparer.Ordinal)];
            }

            recorded.TryAdd(name, lines);
        }

        var head = System.IO.File.ReadAllLines(File).TakeWhile(line => line.StartsWith('#'));
        System.IO.File.WriteAllLines(File, [.. head, .. recorded.SelectMany(record => record.Value.Prepend(record.Key))]);
    }

    [Fact]
    public void No_two_records_have_one_name() =>
        Assert.Equal(Schemas.All.Count, Schemas.All.Select(schema => schema.Name).Distinct().Count());

    [Theory]
    [InlineData("uart 2", "a:", "")]
    [InlineData("uart 2", "b:", "'uart' version 2 has changed (it has gained 'b:' and lost 'a:')")]
    [InlineData("uart 3", "a:", "'uart 3' is not written down")]
    [InlineData("uart 1", "a:", "'uart 2' is written down and this build does not know it")]
    [InlineData("settings of disk", "", "'settings of disk' has lost 'size'")]
    [InlineData("settings of disk", "size more", "'settings of disk' has gained 'more'")]
    [InlineData("fax 1", "a:", "'fax 1' is not written down")]
    public void A_change_that_is_not_a_version_is_seen(string name, string lines, string fault)
    {
        var recorded = Read(["# Head.", "settings of disk", "  size", "uart 1", "  a:", "uart 2", "  a:"]);
        var current = Read(["settings of disk", "  size", "uart 2", "  a:"]);
        if (name.StartsWith("uart", StringComparison.Ordinal))
        {
            current.Remove("uart 2");
        }

        current[name] = [.. lines.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(line => "  " + line)];
        var faults = Faults(recorded, current);
        Assert.Equal(fault.Length == 0, faults.Count == 0);
        Assert.All(faults, found => Assert.Contains(fault, found, StringComparison.Ordinal));
    }

    private sealed record Inner(byte Small, string? Text);

    private sealed record Outer(IReadOnlyList<Inner> List, ulong Wide);

    [Fact]
    public void The_shape_of_a_record_is_all_that_its_JSON_shows() => Assert.Equal(
        ["  list: list of record", "    small: Byte", "    text: String or null", "  wide: UInt64"],
        RecordShape.Of(Devices.Doubles.StateJson.Of<Outer>()));

    private static bool MayGrow(string name) => !char.IsAsciiDigit(name[^1]);

    private static List<string> Faults(
        SortedDictionary<string, IReadOnlyList<string>> recorded, SortedDictionary<string, IReadOnlyList<string>> current)
    {
        var faults = new List<string>();
        foreach (var (name, lines) in current)
        {
            if (!recorded.TryGetValue(name, out var before))
            {
                faults.Add(
                    $"'{name}' is not written down. If it is meant to be saved like this from now on, run: {HowToWrite}. Then a golden state has to have it (docs/saved-state.md).");
                continue;
            }

            string gained = string.Join("', '", lines.Except(before).Select(line => line.Trim()));
            string lost = string.Join("', '", before.Except(lines).Select(line => line.Trim()));
            if (MayGrow(name))
            {
                if (lost.Length > 0)
                {
                    faults.Add(
                        $"'{name}' has lost '{lost}', which is in states that were saved. Go on reading it, or let the schema 'devices' have an upgrade that turns it into what there is now.");
                }
                else if (gained.Length > 0)
                {
                    faults.Add(
                        $"'{name}' has gained '{gained}'. States lack it, so it needs a default. To have it written down, run: {HowToWrite}.");
                }
            }
            else if (!lines.SequenceEqual(before))
            {
                faults.Add(
                    $"'{name[..name.LastIndexOf(' ')]}' version {name[(name.LastIndexOf(' ') + 1)..]} has changed (it has gained '{gained}' and lost '{lost}'). States were saved with that version as it was: "
                    + $"give its schema one more upgrade, from there to what you have now, which raises the version; then run: {HowToWrite}, and add a golden state (docs/saved-state.md).");
            }
        }

        // Earlier versions stay written down; later ones would be of another build.
        faults.AddRange(recorded.Keys.Where(name => !MayGrow(name) && !IsEarlier(name, current)).Select(name =>
            $"'{name}' is written down and this build does not know it. What was saved is read for ever: keep its schema, and what reads it."));
        return faults;
    }

    private static bool IsEarlier(string name, SortedDictionary<string, IReadOnlyList<string>> current)
    {
        var (schema, version) = Split(name);
        return current.Keys.Where(other => !MayGrow(other)).Select(Split).Any(other => other.Schema == schema && other.Version >= version);
    }

    internal static (string Schema, int Version) Split(string name) =>
        (name[..name.LastIndexOf(' ')], int.Parse(
            name.AsSpan(name.LastIndexOf(' ') + 1), System.Globalization.CultureInfo.InvariantCulture));

    private static SortedDictionary<string, IReadOnlyList<string>> Current()
    {
        var records = new SortedDictionary<string, IReadOnlyList<string>>(StringComparer.Ordinal);
        foreach (var schema in Schemas.All)
        {
            records.Add(
                $"{schema.Name} {schema.Version}", schema == SavedRecords.Vcpu ? RecordShape.Of(Vcpu()) : RecordShape.Of(schema.Json));
        }

        // These have defaults, so that they may grow without a version; what they once had they have for ever.
        records.Add("spec of machine", Names(MachineSpecJson.Write(new MachineSpec
        {
            Hpet = true,
            Cpu = new CpuSpec { Model = CpuModel.X86_64V2, Vendor = CpuVendor.Amd,
                Features = new Dictionary<string, bool> { ["avx2"] = false }, Maximum = 2 },
            Clock = ClockPolicy.Stopped,
            Numa = [new NumaNodeSpec { Cpus = new(1), Memory = 1 << 20, Distances = [10] }],
            Boot = new BootSpec { Kernel = "kernel", Initrd = "initrd" },
            Display = new DisplaySpec(),
            Devices = [new DeviceSpec("id", "kind") { At = "port:1" }.WithSettings("{}")],
        })).Where(name => !name.EndsWith(".avx2", StringComparison.Ordinal)).ToList());
        foreach (var kind in BuiltInDevices.Catalogue.Kinds)
        {
            records.Add(
                $"settings of {kind.Name}.", [.. kind.Settings.Select(setting => $"  {setting.Name}").Order(StringComparer.Ordinal)]);
        }

        return records;
    }

    private static unsafe JsonObject Vcpu()
    {
        var state = (CpuState*)NativeMemory.AlignedAlloc((nuint)sizeof(CpuState), 64);
        NativeMemory.Clear(state, (nuint)sizeof(CpuState));
        var json = VcpuStateJson.Write(state);
        NativeMemory.AlignedFree(state);
        return json;
    }

    private static IReadOnlyList<string> Names(JsonNode? node, string path = "  ") => node switch
    {
        JsonObject record =>
            [.. record.SelectMany(member => Names(member.Value, $"{path}{member.Key}.").Prepend(path + member.Key))
                .Order(StringComparer.Ordinal)],
        JsonArray { Count: > 0 } list => Names(list[0], path),
        _ => [],
    };

    /// <summary>By name: a schema with its version, or something that may grow.</summary>
    private static SortedDictionary<string, IReadOnlyList<string>> Read(string[] lines)
    {
        var records = new SortedDictionary<string, IReadOnlyList<string>>(StringComparer.Ordinal);
        string name = "";
        foreach (string line in lines.Where(line => !line.StartsWith('#') && line.Length > 0))
        {
            if (line[0] != ' ')
            {
                records.Add(name = line, []);
            }
            else
            {
                records[name] = [.. records[name], line];
            }
        }

        return records;
    }
}
