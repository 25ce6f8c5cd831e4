using System.Text.Json;
using System.Text.Unicode;

namespace WebVm.Vmm.Host;

/// <summary>
/// JSON that somebody else wrote. The library checks strings only when they are asked for, and then fails otherwise than for bad syntax; so what is
/// accepted here is sound throughout: UTF-8, no half surrogates, no name twice, no deeper than agreed. Readers meet wrong values after that, but no faults.
/// </summary>
public static class UntrustedJson
{
    /// <exception cref="InvalidDataException">It is not sound. The message says why, and does not name the file.</exception>
    public static JsonDocument Parse(ReadOnlyMemory<byte> json, int depth)
    {
        Check(json.Span, depth);
        try
        {
            return JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = depth, AllowDuplicateProperties = false });
        }
        catch (JsonException malformed)
        {
            throw new InvalidDataException($"It is not sound JSON: {malformed.Message}", malformed);
        }
    }

    /// <summary>Whether every string can be had, and the syntax is right; not whether names are given twice.</summary>
    /// <exception cref="InvalidDataException">It is not sound.</exception>
    public static void Check(ReadOnlySpan<byte> json, int depth)
    {
        if (!Utf8.IsValid(json))
        {
            throw new InvalidDataException("It is not UTF-8.");
        }

        try
        {
            var reader = new Utf8JsonReader(json, new JsonReaderOptions { MaxDepth = depth });
            while (reader.Read())
            {
                // Only an escape (\ud800) can still make half a surrogate pair.
                if (reader.ValueIsEscaped)
                {
                    _ = reader.GetString();
                }
            }
        }
        catch (Exception malformed) when (malformed is JsonException or InvalidOperationException)
        {
            throw new InvalidDataException($"It is not sound JSON: {malformed.Message}", malformed);
        }
    }
}
