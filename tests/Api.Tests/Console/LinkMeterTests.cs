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
    public void ALinkIsNotSlowBeforeItWasMeasured()
    {
        Assert.False(_link.IsSlow);
        Assert.Equal(LinkMeter.UnprovenFrame, _link.FrameBytes);
    }

    [Fact]
    public void AQuickLinkTakesFramesOfAnySize()
    {
        Carry(1, Quick);
        Assert.False(_link.IsSlow);
        Assert.Equal(int.MaxValue, _link.FrameBytes);
    }

    [Fact]
    public void ALinkBecomesSlowWhenSeveralFramesInARowWere()
    {
        Carry(LinkMeter.SlowAfter - 1, Slow);
        Assert.False(_link.IsSlow);
        Carry(1, Slow);
        Assert.True(_link.IsSlow);
    }

    [Fact]
    public void AHostThatIsBusyForAMomentMakesNoSlowLink()
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
    public void ASlowLinkBecomesQuickWhenSeveralFramesInARowWereMuchQuicker()
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
    public void ALinkBetweenSlowAndQuickStaysWhatItWas()
    {
        Carry(50, Between);
        Assert.False(_link.IsSlow);
    }

    [Fact]
    public void SmallFramesSayNothing()
    {
        for (int i = 0; i < 50; i++)
        {
            _link.Measure(LinkMeter.SmallestMeasured - 1, TimeSpan.FromSeconds(5), TimeSpan.Zero);
        }

        Assert.False(_link.IsSlow);
    }

    [Fact]
    public void ALongWayIsNoSlowLink()
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
    public void APageThatIsHiddenIsNoSlowLink()
    {
        for (int i = 0; i < 10; i++)
        {
            _link.Measure(Bytes, TimeSpan.FromSeconds(10.001), TimeSpan.FromSeconds(10));
        }

        Assert.False(_link.IsSlow);
    }

    [Fact]
    public void WhatNoBrowserCanHaveKeptIsNotMeasured()
    {
        for (int i = 0; i < 10; i++)
        {
            _link.Measure(Bytes, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(2));
            _link.Measure(Bytes, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(-1));
        }

        Assert.Equal(LinkMeter.UnprovenFrame, _link.FrameBytes);
    }

    [Fact]
    public void AFrameIsAsLargeAsASlowLinkCarriesInItsTime()
    {
        Carry(10, Slow);
        Assert.InRange(_link.FrameBytes, Slow * 0.24, Slow * 0.26);
        // The longer the way, the more is on it.
        _link.Measure(100, TimeSpan.FromMilliseconds(125), TimeSpan.Zero);
        Assert.InRange(_link.FrameBytes, Slow * 0.49, Slow * 0.51);
    }

    [Fact]
    public void AFrameIsNeverSoSmallThatItSaysNothing()
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
