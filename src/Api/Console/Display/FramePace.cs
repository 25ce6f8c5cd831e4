using System.Diagnostics;

namespace WebVm.Api.Console.Display;

/// <summary>
/// How soon a viewer gets its next frame. Letters, cursors and pointers come at once, however many; after a frame that changed much there
/// is a pause, so that a screen in full motion (text that scrolls by, a film) has about thirty frames a second: what more would cost, the
/// guest would miss on a host with few processors.
/// </summary>
internal struct FramePace
{
    /// <summary>Tiles of a frame that is followed without a pause: more than a line of text typed or a pointer moved.</summary>
    public const int SmallFrame = 8;

    /// <summary>Between a larger frame and the next.</summary>
    public static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(30);

    private static readonly long s_pauseTicks = (long)(Pause.TotalSeconds * Stopwatch.Frequency);

    private long _notBefore;

    /// <param name="now">Stopwatch ticks.</param>
    public readonly bool Allows(long now) => now >= _notBefore;

    /// <summary>A frame is on its way.</summary>
    /// <param name="now">Stopwatch ticks.</param>
    public void Sent(long now, int tiles) => _notBefore = tiles > SmallFrame ? now + s_pauseTicks : now;
}
