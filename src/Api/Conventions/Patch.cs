using System.Reflection;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Metadata;

namespace WebVm.Api.Conventions;

/// <summary>A JSON Merge Patch (RFC 7396) of settings of one type.</summary>
public sealed class Patch<T> : RequestBody, IEndpointParameterMetadataProvider
    where T : class
{
    public const string MergePatchType = "application/merge-patch+json";

    private Patch(JsonElement json, List<FieldFault> faults, IResult? refusal)
        : base(faults, refusal) => Json = json;

    /// <summary>An object without members that are given twice.</summary>
    public JsonElement Json { get; }

    /// <summary>Called by ASP.NET Core's binding.</summary>
    [System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1000", Justification = "Binding looks for it here.")]
    public static ValueTask<Patch<T>> BindAsync(HttpContext context, ParameterInfo parameter) =>
        ReadAsync(context, static refusal => new Patch<T>(default, [], refusal), Read);

    static void IEndpointParameterMetadataProvider.PopulateMetadata(ParameterInfo parameter, EndpointBuilder builder)
    {
        builder.Metadata.Add(new AcceptsMetadata([MergePatchType, BodyBytes.Json], typeof(T)));
        builder.Metadata.Add(PatchMetadata.Instance);
    }

    private static Patch<T> Read(ReadOnlyMemory<byte> bytes, List<FieldFault> faults)
    {
        var json = BodyBytes.Parse(bytes, faults);
        if (faults.Count == 0 && json.ValueKind != JsonValueKind.Object)
        {
            faults.Add(new("", "must be a JSON object"));
        }

        JsonForm.FindDuplicates(json, "", faults);
        return new(json, faults, null);
    }
}

/// <summary>Marks endpoints whose body is a part of its type.</summary>
internal sealed class PatchMetadata
{
    public static PatchMetadata Instance { get; } = new();
}
