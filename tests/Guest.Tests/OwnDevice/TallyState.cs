using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using WebVm.Vmm.State;

namespace WebVm.Guest.Tests.OwnDevice;

public sealed record TallyState(byte Count);

[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(TallyState), TypeInfoPropertyName = "State")]
internal sealed partial class TallyStateJson : JsonSerializerContext
{
    public static StateSchema<TallyState> Schema { get; } = new("tally", new TallyStateJson(StrictJson.NewOptions()).State, HasItsOwnName);

    /// <summary>1 to 2: the count was called value.</summary>
    private static void HasItsOwnName(JsonObject body)
    {
        body["count"] = body["value"]!.DeepClone();
        body.Remove("value");
    }
}
