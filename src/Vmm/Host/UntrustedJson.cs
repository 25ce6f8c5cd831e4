using System.Text.Json;
using System.Text.Unicode;

namespace WebVm.Vmm.Host;

/// <summary>
/// JSON that somebody else wrote. The library checks strings only when they are asked for, and then fails otherwise than for bad syntax; so
/// what is accepted here is sound throughout: UTF-8, no half surrogates, no name twice, no deeper than agreed. Readers meet wrong values
/// after that, but no faults.
/// </summary>
public static class UntrustedJson
{
    /// <exception cref="InvalidDataException">It is not sound. The message says why, and does not name the file.</exception>
    public static JsonDocument Parse(ReadOnlyMemory<byte> json, int depth)
    {
        Check(json.Span, depth);
        try
        {
            return JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = depth });
        }
        catch (JsonException malformed)
        {
            throw new InvalidDataException($"It is not sound JSON: {malformed.Message}", malformed);
        }
    }

    /// <summary>Whether the syntax is right, every string can be had, and no object has a name twice.</summary>
    /// <remarks>
    /// The library's own search for names that are given twice draws random numbers from a library of cryptography, which it loads by name:
    /// a monitor behind its walls has no names. So it is not asked for anywhere in this program.
    /// </remarks>
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
            Stack<HashSet<string>?> names = new();
            while (reader.Read())
            {
                switch (reader.TokenType)
                {
                    case JsonTokenType.StartObject:
                        names.Push([]);
                        break;
                    case JsonTokenType.StartArray:
                        names.Push(null);
                        break;
                    case JsonTokenType.EndObject or JsonTokenType.EndArray:
                        names.Pop();
                        break;
                    case JsonTokenType.PropertyName when !names.Peek()!.Add(reader.GetString()!):
                        throw new InvalidDataException($"It is not sound JSON: an object has the name '{reader.GetString()}' twice.");
                    case JsonTokenType.String when reader.ValueIsEscaped:
                        // Only an escape (\ud800) can still make half a surrogate pair.
                        _ = reader.GetString();
                        break;
                }
            }
        }
        catch (Exception malformed) when (malformed is JsonException or InvalidOperationException)
        {
            throw new InvalidDataException($"It is not sound JSON: {malformed.Message}", malformed);
        }
    }
}
