using System.Text.Json;
using System.Text.Json.Nodes;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Machine.Saving;

/// <summary>
/// What machine.json held before there were sections: its schema 1. All that was in it is version 1 of what the sections hold. This does
/// not change any more; what comes after is upgraded as sections are.
/// </summary>
internal sealed record EarlierState
{
    public required int Schema { get; init; }

    public required string Engine { get; init; }

    public required DateTimeOffset SavedAt { get; init; }

    public required long Clock { get; init; }

    /// <summary>Null in states of builds that did not write it down, for which <see cref="SavedAt"/> comes near.</summary>
    public DateTimeOffset? ClockStoppedAt { get; init; }

    public required JsonElement Spec { get; init; }

    /// <summary>States of builds that did not choose a processor have none.</summary>
    public CpuDescription? Cpu { get; init; }

    public required IReadOnlyList<JsonElement> Vcpus { get; init; }

    public required EarlierControllers InterruptControllers { get; init; }

    public required IReadOnlyList<EarlierDevice> Devices { get; init; }

    public required IReadOnlyList<EarlierRegion> Memory { get; init; }

    /// <exception cref="JsonException">It is no such state.</exception>
    public static IReadOnlyList<StateSection> ToSections(JsonElement root)
    {
        var saved = root.Deserialize(SavedRecordsJson.Strict.EarlierState) ?? throw new InvalidDataException("It is empty.");
        var json = SavedRecordsJson.Strict;
        var controllers = saved.InterruptControllers;
        var machine = new MachineRecord(saved.Engine, saved.SavedAt, saved.Spec);
        var clock = new ClockRecord(saved.Clock, saved.ClockStoppedAt ?? saved.SavedAt);
        List<StateSection> sections = [First(
            StateUnits.Machine, SavedRecords.Machine, JsonSerializer.SerializeToElement(machine, json.MachineRecord))];
        if (saved.Cpu is { } cpu)
        {
            sections.Add(First(StateUnits.Cpu, SavedRecords.Cpu, JsonSerializer.SerializeToElement(cpu, json.CpuDescription)));
        }

        sections.Add(
            First(StateUnits.Memory, SavedRecords.Memory, JsonSerializer.SerializeToElement(
                new EarlierMemory(saved.Memory), json.EarlierMemory)));
        sections.Add(First(StateUnits.Clock, SavedRecords.Clock, JsonSerializer.SerializeToElement(clock, json.ClockRecord)));
        sections.AddRange(saved.Vcpus.Select((vcpu, index) => First(StateUnits.Vcpu(index), SavedRecords.Vcpu, vcpu)));
        sections.Add(First(StateUnits.Pics, SavedRecords.Pics, Pair(controllers.PrimaryPic, controllers.SecondaryPic)));
        sections.Add(First(StateUnits.IoApic, SavedRecords.IoApic, controllers.IoApic));
        sections.Add(First(StateUnits.Pit, SavedRecords.Pit, controllers.Pit));
        sections.AddRange(controllers.LocalApics.Select((apic, index) => First(StateUnits.LocalApic(index), SavedRecords.LocalApic, apic)));
        sections.AddRange(
            saved.Devices.Select(
                device => new StateSection(StateUnits.Device(device.Device), device.Schema, device.Version, device.State)));
        return sections;
    }

    private static StateSection First(string unit, StateSchema schema, JsonElement body) => new(unit, schema.Name, 1, body);

    private static JsonElement Pair(JsonElement primary, JsonElement secondary) => JsonSerializer.SerializeToElement(
        new() { ["primary"] = Node(primary), ["secondary"] = Node(secondary) }, SavedRecordsJson.Strict.JsonObject);

    private static JsonNode? Node(JsonElement element) => JsonNode.Parse(element.GetRawText());
}

internal sealed record EarlierControllers(
    JsonElement PrimaryPic, JsonElement SecondaryPic, JsonElement IoApic, JsonElement Pit, IReadOnlyList<JsonElement> LocalApics);

internal sealed record EarlierDevice(string Device, string Schema, int Version, JsonElement State);

internal sealed record EarlierRegion(string Name, ulong Size, string File);

internal sealed record EarlierMemory(IReadOnlyList<EarlierRegion> Regions);
