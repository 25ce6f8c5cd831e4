using System.Reflection;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Metadata;

namespace WebVm.Api.Conventions;

/// <summary>The JSON body of a request. Endpoints see it only when it is sound.</summary>
public sealed class Body<T> : RequestBody, IEndpointParameterMetadataProvider
    where T : class
{
    private readonly T? _content;

    private Body(T? content, List<FieldFault> faults, IResult? refusal)
        : base(faults, refusal) => _content = content;

    public T Value => _content!;

    internal override object? Content => _content;

    /// <summary>Called by ASP.NET Core's binding.</summary>
    [System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1000", Justification = "Binding looks for it here.")]
    public static ValueTask<Body<T>> BindAsync(HttpContext context, ParameterInfo parameter) => ReadAsync(context, Refused, Read);

    static void IEndpointParameterMetadataProvider.PopulateMetadata(ParameterInfo parameter, EndpointBuilder builder) =>
        builder.Metadata.Add(new AcceptsMetadata([BodyBytes.Json], typeof(T)));

    private static Body<T> Refused(IResult refusal) => new(null, [], refusal);

    private static Body<T> Read(ReadOnlyMemory<byte> bytes, List<FieldFault> faults)
    {
        var content = Deserialize(bytes, faults);
        return content is null && faults.Count == 0 ? Refused(BodyBytes.None) : new(content, faults, null);
    }

    /// <summary>Good bodies by the serializer alone, others looked at closely.</summary>
    private static T? Deserialize(ReadOnlyMemory<byte> bytes, List<FieldFault> faults)
    {
        try
        {
            if (!JsonForm.HasNullItem(bytes.Span))
            {
                return JsonSerializer.Deserialize<T>(bytes.Span, ApiJson.Options);
            }
        }
        catch (JsonException)
        {
            // What is wrong with it is said below.
        }

        var json = BodyBytes.Parse(bytes, faults);
        return faults.Count > 0 ? null : JsonForm.Read<T>(json, faults);
    }
}
