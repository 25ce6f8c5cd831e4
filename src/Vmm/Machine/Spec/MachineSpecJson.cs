using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Unicode;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Chipset.HighPrecisionTimer;
using WebVm.Vmm.Settings;

namespace WebVm.Vmm.Machine.Spec;

/// <summary>The JSON form of <see cref="MachineSpec"/> (docs/machine-spec.md).</summary>
public static class MachineSpecJson
{
    /// <summary>Bytes; nothing a spec can say needs as many.</summary>
    public const int MaximumLength = 256 * 1024;

    /// <summary>Reads and validates. Null, with every fault listed, when the document is no sound spec.</summary>
    /// <param name="catalogue">Kinds of device; null for those of this build.</param>
    public static MachineSpec? Read(ReadOnlyMemory<byte> json, out IReadOnlyList<SpecFault> faults, DeviceCatalogue? catalogue = null)
    {
        if (json.Length > MaximumLength)
        {
            faults = [new("", $"longer than {MaximumLength} bytes")];
            return null;
        }

        if (!Utf8.IsValid(json.Span))
        {
            faults = [new("", "not UTF-8")];
            return null;
        }

        try
        {
            using var document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 16 });
            return Read(document.RootElement, out faults, catalogue);
        }
        catch (JsonException malformed)
        {
            faults = [new("", $"not JSON: {malformed.Message}")];
            return null;
        }
    }

    /// <inheritdoc cref="Read(ReadOnlyMemory{byte}, out IReadOnlyList{SpecFault}, DeviceCatalogue?)"/>
    public static MachineSpec? Read(JsonElement json, out IReadOnlyList<SpecFault> faults, DeviceCatalogue? catalogue = null)
    {
        var found = new List<SpecFault>();
        var root = new SpecObject(json, "", found);
        var spec = ReadMachine(root);
        // A field that could not be read has its default; what follows from that would only confuse.
        if (found.Count == 0)
        {
            found.AddRange(spec.Validate(catalogue));
        }

        faults = found;
        return found.Count == 0 ? spec : null;
    }

    public static JsonObject Write(MachineSpec spec)
    {
        var root = new JsonObject
        {
            ["schema"] = MachineSpec.Schema,
            ["name"] = spec.Name,
            ["engine"] = Name(spec.Engine),
            ["cpus"] = spec.Cpus,
            ["memory"] = ByteSize.Format(spec.Memory),
        };
        if (spec.Hpet)
        {
            root["hpet"] = true;
        }

        if (WriteCpu(spec.Cpu) is { Count: > 0 } cpu)
        {
            root["cpu"] = cpu;
        }

        if (spec.Clock != ClockPolicy.CatchUp)
        {
            root["clock"] = Name(spec.Clock);
        }

        if (spec.Numa.Count > 0)
        {
            root["numa"] = new JsonArray([.. spec.Numa.Select(WriteNode)]);
        }

        if (spec.Boot is { } boot)
        {
            root["boot"] = new JsonObject { ["kernel"] = boot.Kernel, ["initrd"] = boot.Initrd, ["commandLine"] = boot.CommandLine };
        }

        if (spec.Display is { } display)
        {
            root["display"] = new JsonObject { ["width"] = display.Width, ["height"] = display.Height };
        }

        if (spec.Devices is { } devices)
        {
            root["devices"] = new JsonArray([.. devices.Select(WriteDevice)]);
        }

        return root;
    }

    public static string Name(EngineChoice engine) => engine.ToString().ToLowerInvariant();

    public static string Name(ClockPolicy clock) => clock == ClockPolicy.CatchUp ? "catch-up" : "stopped";

    private static JsonObject WriteCpu(CpuSpec cpu)
    {
        var result = new JsonObject();
        if (cpu.Model != CpuModel.Host)
        {
            result["model"] = cpu.Model.Name();
        }

        if (cpu.Vendor is { } vendor)
        {
            result["vendor"] = vendor.ToString().ToLowerInvariant();
        }

        if (cpu.Features.Count > 0)
        {
            result["features"] = new JsonObject(
                cpu.Features.Select(feature => KeyValuePair.Create(feature.Key, (JsonNode?)JsonValue.Create(feature.Value))));
        }

        if (cpu.Maximum is { } maximum)
        {
            result["maximum"] = maximum;
        }

        return result;
    }

    private static JsonObject WriteNode(NumaNodeSpec node)
    {
        var result = new JsonObject { ["cpus"] = node.Cpus.ToString(), ["memory"] = ByteSize.Format(node.Memory) };
        if (node.Distances is { } distances)
        {
            result["distances"] = new JsonArray([.. distances.Select(distance => JsonValue.Create((int)distance))]);
        }

        return result;
    }

    private static JsonObject WriteDevice(DeviceSpec device)
    {
        var result = new JsonObject { ["id"] = device.Id, ["kind"] = device.Kind };
        if (device.At is { } at)
        {
            result["at"] = at;
        }

        if (device.Settings is { } settings)
        {
            result["settings"] = JsonNode.Parse(settings.GetRawText());
        }

        return result;
    }

    private static MachineSpec ReadMachine(SpecObject root)
    {
        int schema = root.Integer("schema", MachineSpec.Schema);
        if (schema != MachineSpec.Schema)
        {
            root.Fault("schema", $"{schema}; this build reads schema {MachineSpec.Schema}");
        }

        var initial = new MachineSpec();
        var nodes = root.Array("numa").Select(ReadNode).ToList();
        var spec = new MachineSpec
        {
            Name = root.Text("name") ?? initial.Name,
            Engine = root.Choice("engine", EngineChoice.Auto),
            Cpus = root.Integer("cpus", nodes.Count > 0 ? Math.Max(1, nodes.Max(node => node.Cpus.Highest + 1)) : initial.Cpus),
            Cpu = root.Object("cpu") is { } cpu ? ReadCpu(cpu) : initial.Cpu,
            Memory = root.Size("memory")
                ?? (nodes.Count > 0 ? nodes.Aggregate(0UL, (sum, node) => unchecked(sum + node.Memory)) : initial.Memory),
            Numa = nodes,
            Clock = ReadClock(root),
            Hpet = root.Flag("hpet", initial.Hpet),
            Boot = root.Object("boot") is { } boot ? ReadBoot(boot) : null,
            Devices = root.Has("devices") ? [.. root.Array("devices").Select(ReadDevice)] : null,
            Display = root.Object("display") is { } display ? ReadDisplay(display) : null,
        };
        root.RefuseOthers();
        return spec;
    }

    private static ClockPolicy ReadClock(SpecObject root)
    {
        string name = root.Text("clock") ?? Name(ClockPolicy.CatchUp);
        if (TryParse(name, out ClockPolicy clock))
        {
            return clock;
        }

        root.Fault("clock", $"'{name}'; there are catch-up and stopped");
        return ClockPolicy.CatchUp;
    }

    public static bool TryParse(string name, out ClockPolicy clock)
    {
        clock = name == Name(ClockPolicy.Stopped) ? ClockPolicy.Stopped : ClockPolicy.CatchUp;
        return name == Name(clock);
    }

    private static CpuSpec ReadCpu(SpecObject cpu)
    {
        var model = CpuModel.Host;
        if (cpu.Text("model") is { } name && !CpuModels.TryParse(name, out model))
        {
            cpu.Fault("model", $"'{name}'; there are {string.Join(", ", CpuModels.All.Select(known => known.Name()))}");
        }

        CpuVendor? vendor = null;
        if (cpu.Text("vendor") is { } text && text != "host")
        {
            vendor = text switch { "intel" => CpuVendor.Intel, "amd" => CpuVendor.Amd, _ => null };
            if (vendor is null)
            {
                cpu.Fault("vendor", $"'{text}'; there are host, intel, amd");
            }
        }

        var features = new SortedDictionary<string, bool>(StringComparer.Ordinal);
        if (cpu.Object("features") is { } wanted)
        {
            foreach (string feature in wanted.Names)
            {
                features[feature] = wanted.Flag(feature, false);
            }
        }

        int? maximum = cpu.Has("maximum") ? cpu.Integer("maximum", 0) : null;
        cpu.RefuseOthers();
        return new CpuSpec { Model = model, Vendor = vendor, Features = features, Maximum = maximum };
    }

    private static NumaNodeSpec ReadNode(SpecObject node)
    {
        string cpus = node.Text("cpus") ?? "";
        if (!CpuSet.TryParse(cpus, out var set))
        {
            node.Fault("cpus", $"'{cpus}' is not a list of vCPUs such as \"0-3,8\", each below {CpuSet.Limit}");
        }

        ulong? memory = node.Size("memory");
        if (memory is null)
        {
            node.Missing("memory");
        }

        IReadOnlyList<byte>? distances = node.Has("distances") ? node.Bytes("distances") : null;
        node.RefuseOthers();
        return new NumaNodeSpec { Cpus = set, Memory = memory ?? 0, Distances = distances };
    }

    private static BootSpec ReadBoot(SpecObject boot)
    {
        string? kernel = boot.Text("kernel");
        if (kernel is null)
        {
            boot.Missing("kernel");
        }

        var result = new BootSpec { Kernel = kernel ?? "", Initrd = boot.Text("initrd"), CommandLine = boot.Text("commandLine") ?? "" };
        boot.RefuseOthers();
        return result;
    }

    /// <summary>Reads one device; what is wrong with its form becomes a fault of the object.</summary>
    internal static DeviceSpec ReadDevice(SpecObject device)
    {
        foreach (string field in (string[])["id", "kind"])
        {
            device.Missing(field);
        }

        var result = new DeviceSpec(
            device.Text("id") ?? "", device.Text("kind") ?? "") { At = device.Text("at"), Settings = device.Element("settings") };
        device.RefuseOthers();
        return result;
    }

    private static DisplaySpec ReadDisplay(SpecObject display)
    {
        var initial = new DisplaySpec();
        var result = new DisplaySpec(display.Integer("width", initial.Width), display.Integer("height", initial.Height));
        display.RefuseOthers();
        return result;
    }
}
