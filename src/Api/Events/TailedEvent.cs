using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using WebVm.Api.Conventions;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Events;

/// <summary>An event on its way to readers.</summary>
public sealed class TailedEvent(EventRecord record)
{
    // What a row takes besides its texts, roughly.
    private const int Overhead = 256;

    private byte[]? _frame;

    public EventRecord Record => record;

    /// <summary>Bytes of memory, roughly: its texts, and again what is sent.</summary>
    public int Weight => Overhead + (4 * (record.Data.Length + (record.Message?.Length ?? 0) + record.Subject.Length + record.Type.Length));

    /// <summary>As streams send it (WHATWG HTML §9.2.5); made once for all of them.</summary>
    public ReadOnlyMemory<byte> Frame => _frame ??= Format(record.Id, record.Type, EventView.From(record));

    /// <summary>An event as it is sent.</summary>
    public static byte[] Format<T>(long id, string type, T data)
    {
        var frame = new ArrayBufferWriter<byte>();
        Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"id: {id}\nevent: {type}\ndata: "), frame);
        using (var json = new Utf8JsonWriter(frame, new JsonWriterOptions { Encoder = ApiJson.Options.Encoder }))
        {
            JsonSerializer.Serialize(json, data, ApiJson.Options);
        }

        frame.Write("\n\n"u8);
        return frame.WrittenSpan.ToArray();
    }
}
