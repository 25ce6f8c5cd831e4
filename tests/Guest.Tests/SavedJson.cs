using System.Text.Json.Nodes;
using WebVm.Vmm.State;

namespace WebVm.Guest.Tests;

/// <summary>The sections of a saved state's folder, to be looked at and tampered with.</summary>
internal static class SavedJson
{
    public static JsonArray Sections(string state) => JsonNode.Parse(File.ReadAllText(PathOf(state)))!["sections"]!.AsArray();

    public static void Change(string state, Action<JsonArray> change)
    {
        var description = JsonNode.Parse(File.ReadAllText(PathOf(state)))!;
        change(description["sections"]!.AsArray());
        File.WriteAllText(PathOf(state), description.ToJsonString());
    }

    public static JsonObject Section(this JsonArray sections, string unit) =>
        sections.Single(section => (string)section!["unit"]! == unit)!.AsObject();

    public static JsonObject Body(this JsonArray sections, string unit) => sections.Section(unit)["body"]!.AsObject();

    private static string PathOf(string state) => Path.Combine(state, SavedStateFolder.FileName);
}
