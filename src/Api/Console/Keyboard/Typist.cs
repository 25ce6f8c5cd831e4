using WebVm.Vmm.Control;
using WebVm.Vmm.Devices.Input;
using WebVm.Vmm.Keys;

namespace WebVm.Api.Console.Keyboard;

/// <summary>Types text on a guest's keyboard, as fast as the guest takes it.</summary>
internal static class Typist
{
    public const int LongestText = 64 * 1024;

    private const int BatchSize = 32;
    private static readonly TimeSpan Retry = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>The characters that a layout cannot type, each once; empty when it can type all.</summary>
    public static string Missing(string text, KeyboardLayout layout) =>
        new([.. text.Where(character => character != '\r' && !layout.TryGetStrokes(character, out _)).Distinct()]);

    /// <summary>Types every character that the layout has.</summary>
    /// <returns>False when the guest stopped listening.</returns>
    public static async Task<bool> TypeAsync(ControlClient client, string text, KeyboardLayout layout, CancellationToken cancellation)
    {
        var events = new List<KeyEvent>(BatchSize + 8);
        foreach (char character in text)
        {
            AddStrokes(events, character, layout);
            if (events.Count >= BatchSize && !await SendAsync(client, events, cancellation))
            {
                return false;
            }
        }

        return await SendAsync(client, events, cancellation);
    }

    private static void AddStrokes(List<KeyEvent> events, char character, KeyboardLayout layout)
    {
        // Line ends of any system become Enter.
        if (character == '\r' || !layout.TryGetStrokes(character, out var strokes))
        {
            return;
        }

        foreach (var stroke in strokes)
        {
            var chord = stroke.Chord;
            events.AddRange(chord.Select(key => new KeyEvent(key.ToString(), Pressed: true)));
            events.AddRange(chord.Reverse().Select(key => new KeyEvent(key.ToString(), Pressed: false)));
        }
    }

    /// <summary>Sends the events one after the other until the guest has taken all.</summary>
    private static async Task<bool> SendAsync(ControlClient client, List<KeyEvent> events, CancellationToken cancellation)
    {
        long refusedSince = Environment.TickCount64;
        while (events.Count > 0)
        {
            // One at a time once the queue is full: an event in the middle that is refused must not be overtaken.
            int taken = await client.SendKeyEventsAsync([events[0]]);
            if (taken > 0)
            {
                events.RemoveAt(0);
                refusedSince = Environment.TickCount64;
            }
            else if (Environment.TickCount64 - refusedSince > Patience.TotalMilliseconds)
            {
                return false;
            }
            else
            {
                await Task.Delay(Retry, cancellation);
            }
        }

        return true;
    }
}
