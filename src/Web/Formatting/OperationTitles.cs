using System.Text.Json;
using WebVm.Api.Operations;

namespace WebVm.Web.Formatting;

/// <summary>What operations do, in words.</summary>
public static class OperationTitles
{
    public static string Title(this OperationView operation) => operation.Kind switch
    {
        "vm.power" =>
            operation.Result is { ValueKind: JsonValueKind.Object } result && result.TryGetProperty("state", out var state)
                ? $"Change power to {state.GetString()}"
                : "Change power",
        "vm.delete" => "Delete machine",
        "vm.snapshot.create" => "Take snapshot",
        "vm.snapshot.restore" => "Restore snapshot",
        "image.import" => "Import image",
        "image.verify" => "Verify image",
        _ => operation.Kind,
    };
}
