using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Machine.Saving;

/// <param name="Engine">That executed the guest; any other may take over.</param>
/// <param name="SavedAt">When the state was taken, for people.</param>
/// <param name="Spec">In its own form (docs/machine-spec.md), which has a version of its own.</param>
internal sealed record MachineRecord(string Engine, DateTimeOffset SavedAt, JsonElement Spec);

/// <summary>What the machine had when it was saved, whatever its spec said when it began.</summary>
internal sealed record DevicesRecord(IReadOnlyList<DeviceSpec> Devices);

internal sealed record MemoryRecord(IReadOnlyList<StateContents> Regions);

/// <param name="Time">Nanoseconds of VM time.</param>
/// <param name="StoppedAt">When that time began to stand still.</param>
internal sealed record ClockRecord(long Time, DateTimeOffset StoppedAt);

internal sealed record PicsRecord(PicState Primary, PicState Secondary);

/// <summary>The schemas of what a machine saves beside its devices, whose own folders have theirs.</summary>
internal static class SavedRecords
{
    /// <summary>What a vCPU has had since version 2.</summary>
    private static readonly string[] s_sinceVcpu2 = ["pkru", "pkrs", "pendingDebug"];

    public static StateSchema<MachineRecord> Machine { get; } = new("machine", SavedRecordsJson.Strict.MachineRecord);

    public static StateSchema<CpuDescription> Cpu { get; } = new("cpu", SavedRecordsJson.Strict.CpuDescription);

    public static StateSchema<DevicesRecord> Devices { get; } = new("devices", SavedRecordsJson.Strict.DevicesRecord);

    public static StateSchema<MemoryRecord> Memory { get; } = new("memory", SavedRecordsJson.Strict.MemoryRecord, RegionsHaveNoFiles);

    public static StateSchema<ClockRecord> Clock { get; } = new("clock", SavedRecordsJson.Strict.ClockRecord);

    /// <summary>Read and written by <see cref="VcpuStateJson"/>.</summary>
    public static StateSchema<JsonElement> Vcpu { get; } = new("vcpu", SavedRecordsJson.Strict.JsonElement, VcpuHasLaterRegisters);

    public static StateSchema<PicsRecord> Pics { get; } = new("8259a-pair", SavedRecordsJson.Strict.PicsRecord);

    public static StateSchema<IoApicState> IoApic { get; } = new("ioapic", SavedRecordsJson.Strict.IoApicState);

    public static StateSchema<PitState> Pit { get; } = new("8254", SavedRecordsJson.Strict.PitState);

    public static StateSchema<LocalApicState> LocalApic { get; } = new("local-apic", SavedRecordsJson.Strict.LocalApicState);

    /// <summary>1 to 2: where contents lie is the folder's affair. It said what follows from the name anyway.</summary>
    private static void RegionsHaveNoFiles(JsonObject body)
    {
        foreach (var region in body["regions"]!.AsArray().Select(node => node!.AsObject()))
        {
            string file = (string)region["file"]!;
            if (file != SavedStateFolder.FileOf((string)region["name"]!))
            {
                throw new InvalidDataException($"'{file}' is not the name of a file in the saved state.");
            }

            region.Remove("file");
        }
    }

    /// <summary>
    /// 1 to 2: registers that builds had one after the other; a state that lacks one is of a guest that had not touched it.
    /// </summary>
    private static void VcpuHasLaterRegisters(JsonObject body)
    {
        foreach (string name in s_sinceVcpu2.Where(name => !body.ContainsKey(name)))
        {
            body[name] = "0x0";
        }
    }
}

/// <summary>How these records are read and written, generated when this is compiled.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(MachineRecord))]
[JsonSerializable(typeof(CpuDescription))]
[JsonSerializable(typeof(DevicesRecord))]
[JsonSerializable(typeof(MemoryRecord))]
[JsonSerializable(typeof(ClockRecord))]
[JsonSerializable(typeof(PicsRecord))]
[JsonSerializable(typeof(IoApicState))]
[JsonSerializable(typeof(PitState))]
[JsonSerializable(typeof(LocalApicState))]
[JsonSerializable(typeof(JsonElement))]
[JsonSerializable(typeof(JsonObject))]
[JsonSerializable(typeof(EarlierState))]
[JsonSerializable(typeof(EarlierMemory))]
internal sealed partial class SavedRecordsJson : JsonSerializerContext
{
    public static SavedRecordsJson Strict { get; } = new(StrictJson.NewOptions());
}
