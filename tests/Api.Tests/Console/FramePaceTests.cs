using System.Diagnostics;
using WebVm.Api.Console.Display;
using Xunit;

namespace WebVm.Api.Tests.Console;

public sealed class FramePaceTests
{
    private static readonly long s_pause = (long)(FramePace.Pause.TotalSeconds * Stopwatch.Frequency);

    private long _now = 1_000_000_000;

    [Fact]
    public void The_first_frame_comes_at_once() => Assert.True(new FramePace().Allows(_now));

    [Fact]
    public void Small_frames_follow_each_other_without_a_pause()
    {
        var pace = new FramePace();
        for (int frame = 0; frame < 100; frame++)
        {
            pace.Sent(_now, FramePace.SmallFrame);
            Assert.True(pace.Allows(_now));
        }
    }

    [Fact]
    public void A_screen_in_full_motion_comes_at_a_pace()
    {
        var pace = new FramePace();
        int frames = 0;
        for (long end = _now + Stopwatch.Frequency; _now < end; _now += Stopwatch.Frequency / 1000)
        {
            if (pace.Allows(_now))
            {
                pace.Sent(_now, 192);
                frames++;
            }
        }

        Assert.InRange(frames, 30, 34);
    }

    [Fact]
    public void What_changes_after_a_rest_is_not_held_back()
    {
        var pace = new FramePace();
        pace.Sent(_now, 192);
        Assert.False(pace.Allows(_now + s_pause - 1));
        Assert.True(pace.Allows(_now + s_pause));
    }

    [Fact]
    public void A_small_frame_ends_the_pause()
    {
        var pace = new FramePace();
        pace.Sent(_now, 192);
        pace.Sent(_now + s_pause, 1);
        Assert.True(pace.Allows(_now + s_pause));
    }
}
