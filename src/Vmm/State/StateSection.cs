using System.Text.Json;
using System.Text.Json.Serialization;

namespace WebVm.Vmm.State;

/// <summary>
/// What one part of a machine has saved: says of itself which schema it follows, so that any build knows whether it can read it.
/// </summary>
/// <param name="Unit">Whose state it is; unique in the state (<see cref="StateUnits"/>).</param>
/// <param name="Schema">Name of the body's schema, which never changes.</param>
/// <param name="Version">Version of the schema, from 1.</param>
/// <param name="Body">The state, a JSON object.</param>
public sealed record StateSection(string Unit, string Schema, int Version, JsonElement Body);

/// <summary>How sections are read and written, generated when this is compiled.</summary>
[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(StateSection))]
[JsonSerializable(typeof(FolderDescription))]
internal sealed partial class StateSectionJson : JsonSerializerContext
{
    public static StateSectionJson Strict { get; } = new(StrictJson.NewOptions());
}
