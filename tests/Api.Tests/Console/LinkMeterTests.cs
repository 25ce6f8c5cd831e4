using WebVm.Api.Console.Display;
using Xunit;

namespace WebVm.Api.Tests.Console;

public sealed class LinkMeterTests
{
    private const int Bytes = 32 * 1024;
    private const int Slow = LinkMeter.SlowBelow / 2;
    private const int Between = (LinkMeter.SlowBelow + LinkMeter.QuickAbove) / 2;
    private const int Quick = LinkMeter.QuickAbove * 2;

    private readonly LinkMeter _link = new();

    [Fact]
    public void A_link_is_not_slow_before_it_was_measured()
    {
        Assert.False(_link.IsSlow);
        Assert.Equal(LinkMeter.UnprovenFrame, _link.FrameBytes);
    }

    [Fact]
    public void A_quick_link_takes_frames_of_any_size()
    {
        Carry(1, Quick);
        Assert.False(_link.IsSlow);
        Assert.Equal(int.MaxValue, _link.FrameBytes);
    }

    [Fact]
    public void A_link_becomes_slow_when_several_frames_in_a_row_were()
    {
        Carry(LinkMeter.SlowAfter - 1, Slow);
        Assert.False(_link.IsSlow);
        Carry(1, Slow);
        Assert.True(_link.IsSlow);
    }

    [Fact]
    public void A_host_that_is_busy_for_a_moment_makes_no_slow_link()
    {
        for (int i = 0; i < 20; i++)
        {
            Carry(LinkMeter.SlowAfter - 1, Slow / 10);
            Assert.Equal(LinkMeter.UnprovenFrame, _link.FrameBytes);
            Carry(1, Quick);
        }

        Assert.False(_link.IsSlow);
    }

    [Fact]
    public void A_slow_link_becomes_quick_when_several_frames_in_a_row_were_much_quicker()
    {
        Carry(LinkMeter.SlowAfter, Slow);
        Carry(50, Between);
        Assert.True(_link.IsSlow);
        Carry(LinkMeter.QuickAfter - 1, Quick);
        Carry(1, Between);
        Carry(LinkMeter.QuickAfter - 1, Quick);
        Assert.True(_link.IsSlow);
        Carry(1, Quick);
        Assert.False(_link.IsSlow);
        Assert.Equal(int.MaxValue, _link.FrameBytes);
    }

    [Fact]
    public void A_link_between_slow_and_quick_stays_what_it_was()
    {
        Carry(50, Between);
        Assert.False(_link.IsSlow);
    }

    [Fact]
    public void Small_frames_say_nothing()
    {
        for (int i = 0; i < 50; i++)
        {
            _link.Measure(LinkMeter.SmallestMeasured - 1, TimeSpan.FromSeconds(5), TimeSpan.Zero);
        }

        Assert.False(_link.IsSlow);
    }

    [Fact]
    public void A_long_way_is_no_slow_link()
    {
        var way = TimeSpan.FromMilliseconds(200);
        _link.Measure(100, way, TimeSpan.Zero);
        for (int i = 0; i < 10; i++)
        {
            _link.Measure(Bytes, way + TimeSpan.FromSeconds((double)Bytes / Quick), TimeSpan.Zero);
        }

        Assert.False(_link.IsSlow);
    }

    [Fact]
    public void A_page_that_is_hidden_is_no_slow_link()
    {
        for (int i = 0; i < 10; i++)
        {
            _link.Measure(Bytes, TimeSpan.FromSeconds(10.001), TimeSpan.FromSeconds(10));
        }

        Assert.False(_link.IsSlow);
    }

    [Fact]
    public void What_no_browser_can_have_kept_is_not_measured()
    {
        for (int i = 0; i < 10; i++)
        {
            _link.Measure(Bytes, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(2));
            _link.Measure(Bytes, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(-1));
        }

        Assert.Equal(LinkMeter.UnprovenFrame, _link.FrameBytes);
    }

    [Fact]
    public void A_frame_is_as_large_as_a_slow_link_carries_in_its_time()
    {
        Carry(10, Slow);
        Assert.InRange(_link.FrameBytes, Slow * 0.24, Slow * 0.26);
        // The longer the way, the more is on it.
        _link.Measure(100, TimeSpan.FromMilliseconds(125), TimeSpan.Zero);
        Assert.InRange(_link.FrameBytes, Slow * 0.49, Slow * 0.51);
    }

    [Fact]
    public void A_frame_is_never_so_small_that_it_says_nothing()
    {
        Carry(30, 1000);
        Assert.Equal(LinkMeter.SmallestMeasured, _link.FrameBytes);
    }

    private void Carry(int frames, int bytesPerSecond)
    {
        for (int i = 0; i < frames; i++)
        {
            _link.Measure(Bytes, TimeSpan.FromSeconds((double)Bytes / bytesPerSecond), TimeSpan.Zero);
        }
    }
}
