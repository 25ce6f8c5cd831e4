using System.Text.Json;
using System.Text.Json.Nodes;
using WebVm.Api.Conventions;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Vms;

/// <summary>Settings that two configurations have differently, by the JSON pointers of their fields.</summary>
internal static class VmConfigurationDifference
{
    // Taken up at once by a machine that runs, since they are the service's.
    private static readonly string[] s_atOnce = ["/restart", "/autostart", "/deleteProtection"];

    public static IReadOnlyList<string> Between(VmConfiguration before, VmConfiguration after)
    {
        var (left, right) = (ToJson(before), ToJson(after));
        return [.. right.Where(setting => !JsonNode.DeepEquals(left[setting.Key], setting.Value)).Select(setting => "/" + setting.Key)];
    }

    /// <summary>Settings that a running machine takes up at its next start.</summary>
    /// <param name="running">What it was started with; null while it is off.</param>
    public static IReadOnlyList<string> Pending(VmConfiguration? running, VmConfiguration wanted) =>
        running is null || running == wanted ? [] : [.. Between(running, wanted).Except(s_atOnce, StringComparer.Ordinal)];

    private static JsonObject ToJson(VmConfiguration configuration) =>
        JsonSerializer.SerializeToNode(configuration, ApiJson.Options)!.AsObject();
}
