using System.Buffers.Text;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace WebVm.Api.Conventions;

/// <summary>A page of a list.</summary>
/// <param name="NextCursor">Given back as <c>?cursor=</c> for the next page; absent on the last.</param>
public sealed record Page<T>(IReadOnlyList<T> Items, string? NextCursor);

/// <summary>Query parameters of every list.</summary>
/// <param name="Limit">Items a page, 1 to 1000; 100 unless told.</param>
/// <param name="Cursor">Where the page before ended.</param>
/// <param name="Fields">Names of the fields to return, separated by commas; all unless told.</param>
public readonly record struct PageRequest(int? Limit, string? Cursor, string? Fields)
{
    public const int DefaultLimit = 100;
    public const int LargestLimit = 1000;

    public int Size => Limit ?? DefaultLimit;

    /// <summary>Null when fine.</summary>
    public FieldFault? Validate() =>
        Limit is < 1 or > LargestLimit ? new("?limit", $"must be between 1 and {LargestLimit}")
        : Cursor is not null && DecodeCursor() is null ? new("?cursor", "is not a cursor of this list")
        : null;

    /// <summary>The key of the last item of the page before.</summary>
    public string? DecodeCursor()
    {
        if (Cursor is null)
        {
            return null;
        }

        try
        {
            return Encoding.UTF8.GetString(Base64Url.DecodeFromChars(Cursor));
        }
        catch (FormatException)
        {
            return null;
        }
    }

    public static string EncodeCursor(string key) => Base64Url.EncodeToString(Encoding.UTF8.GetBytes(key));

    /// <summary>Leaves only the wanted fields of each item.</summary>
    public JsonObject Select<T>(Page<T> page)
    {
        var wanted = Fields!.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).ToHashSet(StringComparer.Ordinal);
        var properties = ApiJson.Options.GetTypeInfo(typeof(T)).Properties.Where(property => property.Get is not null && wanted.Contains(property.Name)).ToArray();
        var items = new JsonArray();
        foreach (var item in page.Items)
        {
            var selected = new JsonObject();
            foreach (var property in properties)
            {
                object? value = property.Get!(item!);
                if (property.ShouldSerialize?.Invoke(item!, value) ?? true)
                {
                    selected.Add(property.Name, JsonSerializer.SerializeToNode(value, property.PropertyType, ApiJson.Options));
                }
            }

            items.Add(selected);
        }

        return new JsonObject { ["items"] = items, ["nextCursor"] = page.NextCursor };
    }
}
