using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Tests.Devices.Doubles;

/// <summary>States of devices that tests invent, and lists of states, read as strictly as the machine reads its own.</summary>
internal static class StateJson
{
    public static JsonSerializerOptions Options { get; } = new(
        StrictJson.NewOptions()) { TypeInfoResolver = new DefaultJsonTypeInfoResolver() };

    public static JsonTypeInfo<TState> Of<TState>() => (JsonTypeInfo<TState>)Options.GetTypeInfo(typeof(TState));
}
