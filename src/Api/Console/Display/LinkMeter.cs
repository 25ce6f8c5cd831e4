namespace WebVm.Api.Console.Display;

/// <summary>
/// What the way to a viewer carries, by the time from sending a frame to its acknowledgement, less what the browser kept it, less the
/// shortest time that a frame of a few packets took. Small frames say nothing of it. Whether the link is slow changes only when several
/// frames in a row say so, and what makes a slow one quick again is twice what makes a quick one slow: a host or a browser that is busy for
/// a moment changes nothing.
/// </summary>
internal sealed class LinkMeter
{
    /// <summary>Bytes per second, 4 Mbit/s: a photographic screen of 1024 × 768 takes five seconds and more.</summary>
    public const int SlowBelow = 512 * 1024;

    public const int QuickAbove = 2 * SlowBelow;

    /// <summary>Frames in a row that make a link slow.</summary>
    public const int SlowAfter = 2;

    public const int QuickAfter = 3;

    /// <summary>Bytes of a frame that tells how much the link carries.</summary>
    public const int SmallestMeasured = 16 * 1024;

    /// <summary>Bytes of a frame that tells how long the way is.</summary>
    public const int LargestPing = 4 * 1024;

    /// <summary>Bytes of a frame while it is not known that the link is quick.</summary>
    public const int UnprovenFrame = 64 * 1024;

    private const int LargestSlowFrame = 1024 * 1024;

    /// <summary>What a frame may take on a slow link, beside the way there and back: what is new then waits no longer than that.</summary>
    public static readonly TimeSpan FrameTime = TimeSpan.FromMilliseconds(250);

    // Nearer than this, clocks and schedulers are measured.
    private static readonly TimeSpan s_shortest = TimeSpan.FromMilliseconds(1);

    private TimeSpan _roundTrip = TimeSpan.MaxValue;
    private double _rate;
    private bool _quick;
    private int _doubts;

    /// <summary>Pictures come sooner with loss.</summary>
    public bool IsSlow { get; private set; }

    /// <summary>Bytes after which a frame is large enough; what else there is comes with the next.</summary>
    public int FrameBytes =>
        IsSlow ? (int)Math.Clamp(_rate * (FrameTime + (2 * RoundTrip)).TotalSeconds, SmallestMeasured, LargestSlowFrame)
        : _quick ? int.MaxValue
        : UnprovenFrame;

    private TimeSpan RoundTrip => _roundTrip == TimeSpan.MaxValue ? TimeSpan.Zero : _roundTrip;

    /// <summary>A frame has been acknowledged.</summary>
    /// <param name="elapsed">Since it was sent.</param>
    /// <param name="kept">How long the browser says that it had it.</param>
    public void Measure(int bytes, TimeSpan elapsed, TimeSpan kept)
    {
        var travelled = elapsed - kept;
        if (kept < TimeSpan.Zero || travelled < TimeSpan.Zero)
        {
            // No browser of ours says so.
            return;
        }

        if (bytes <= LargestPing && travelled < _roundTrip)
        {
            _roundTrip = travelled;
        }

        if (bytes < SmallestMeasured)
        {
            return;
        }

        var carried = travelled - RoundTrip;
        double rate = bytes / (carried > s_shortest ? carried : s_shortest).TotalSeconds;
        _rate = _rate == 0 ? rate : (Math.Min(_rate, QuickAbove) + Math.Min(rate, QuickAbove)) / 2;
        _quick = rate >= SlowBelow;
        bool contradicts = IsSlow ? rate > QuickAbove : !_quick;
        _doubts = contradicts ? _doubts + 1 : 0;
        if (_doubts == (IsSlow ? QuickAfter : SlowAfter))
        {
            IsSlow = !IsSlow;
            _doubts = 0;
        }
    }
}
