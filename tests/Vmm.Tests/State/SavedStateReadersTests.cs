using System.Reflection;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.State;
using Xunit;

namespace WebVm.Vmm.Tests.State;

/// <summary>What is generated to read and write states when the monitor is compiled.</summary>
public sealed class SavedStateReadersTests
{
    private static readonly JsonSerializerContext[] s_contexts =
    [
        .. Schemas.All.Select(schema => (JsonSerializerContext)schema.Json.OriginatingResolver!).Distinct(),
        StateSectionJson.Strict,
    ];

    [Fact]
    public void Every_reader_of_states_is_strict()
    {
        Assert.True(s_contexts.Length >= 8);
        foreach (var options in s_contexts.Select(context => context.Options))
        {
            Assert.Equal(JsonUnmappedMemberHandling.Disallow, options.UnmappedMemberHandling);
            Assert.True(
                options.RespectNullableAnnotations && options.RespectRequiredConstructorParameters && !options.PropertyNameCaseInsensitive);
        }
    }

    /// <summary>A generated reader leaves zero in a member that is not in the file, whatever a new object has there.</summary>
    [Fact]
    public void A_member_that_does_not_begin_as_zero_is_required()
    {
        var records =
            s_contexts.SelectMany(Types).DistinctBy(type => type.Type)
                .Where(type => type.Kind == JsonTypeInfoKind.Object && type.Type.GetConstructor([]) is not null).ToList();
        Assert.Contains(records, record => record.Type == typeof(PitChannelState));
        foreach (var record in records)
        {
            object created = Activator.CreateInstance(record.Type)!;
            Assert.All(
                record.Properties.Where(
                    property => !property.IsRequired && record.Type.GetProperty(property.Name, Any) is { CanWrite: true }),
                property =>
            {
                object? value = record.Type.GetProperty(property.Name, Any)!.GetValue(created);
                Assert.True(
                    value is null || (value.GetType().IsValueType && value.Equals(Activator.CreateInstance(value.GetType()))),
                    $"{record.Type.Name}.{property.Name} begins as {value}");
            });
        }
    }

    [Fact]
    public void A_channel_of_the_PIT_without_its_count_is_refused()
    {
        var options = s_contexts.Single(context => context.GetTypeInfo(typeof(PitChannelState)) is not null).Options;
        var type = (JsonTypeInfo<PitChannelState>)options.GetTypeInfo(typeof(PitChannelState));
        string whole = JsonSerializer.Serialize(new PitChannelState(), type);
        Assert.Equal(65536, JsonSerializer.Deserialize(whole, type)!.Count);
        Assert.Throws<JsonException>(
            () => JsonSerializer.Deserialize(whole.Replace("\"count\":65536,", "", StringComparison.Ordinal), type));
    }

    private const BindingFlags Any = BindingFlags.Instance | BindingFlags.Public | BindingFlags.IgnoreCase;

    private static IEnumerable<JsonTypeInfo> Types(JsonSerializerContext context) =>
        context.GetType().GetProperties(BindingFlags.Instance | BindingFlags.Public)
            .Where(property => property.PropertyType.IsSubclassOf(typeof(JsonTypeInfo)))
            .Select(property => (JsonTypeInfo)property.GetValue(context)!);
}
