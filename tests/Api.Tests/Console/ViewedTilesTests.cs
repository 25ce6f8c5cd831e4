using System.Buffers.Binary;
using System.Diagnostics;
using WebVm.Api.Console.Display;
using Xunit;

namespace WebVm.Api.Tests.Console;

public sealed class ViewedTilesTests
{
    private const int Width = 768;
    private const int Height = 320;
    private const int Columns = Width / 64;
    private const int Tiles = Columns * Height / 64;

    private static readonly long s_still = (long)(ViewedTiles.StillAfter.TotalSeconds * Stopwatch.Frequency);

    private readonly Photograph _screen = new(Width, Height);
    private readonly TileGrid _grid = new(Width, Height);
    private readonly ViewedTiles _viewed = new();
    private readonly FrameWriter _writer = new();
    private readonly LinkMeter _link = new();
    private long _now = 1_000_000_000;
    private long _frame;

    [Fact]
    public void A_quick_link_gets_everything_at_once_without_loss()
    {
        Measure(LinkMeter.QuickAbove * 10);
        Update();
        var frame = Next();
        Assert.Equal(Tiles, frame.Exact.Count);
        Assert.Empty(frame.Lossy);
        Assert.True(frame.News);
        _now += 10 * s_still;
        Assert.Equal(0, Next().Tiles);
    }

    [Fact]
    public void Over_a_link_that_is_not_measured_a_photograph_comes_in_parts()
    {
        Update();
        var seen = new HashSet<int>();
        int frames = 0;
        for (Frame frame; (frame = Next()).Tiles > 0; frames++)
        {
            Assert.Empty(frame.Lossy);
            Assert.All(frame.Exact, tile => Assert.True(seen.Add(tile)));
            Assert.InRange(_writer.Written.Length, 1, LinkMeter.UnprovenFrame + (17 * 1024));
        }

        Assert.Equal(Tiles, seen.Count);
        Assert.InRange(frames, 3, 20);
    }

    [Fact]
    public void A_slow_link_gets_a_photograph_with_loss_and_then_without()
    {
        Measure(LinkMeter.SlowBelow / 4);
        Update();
        var lossy = new HashSet<int>();
        for (Frame frame; (frame = Next()).Tiles > 0;)
        {
            Assert.Empty(frame.Exact);
            Assert.All(frame.Lossy, tile => Assert.True(lossy.Add(tile)));
        }

        Assert.Equal(Tiles, lossy.Count);
        Assert.Equal(Tiles, _viewed.Lossy);
        _now += s_still - 1;
        Assert.Equal(0, Next().Tiles);
        _now++;
        var exact = new HashSet<int>();
        for (Frame frame; (frame = Next()).Tiles > 0;)
        {
            Assert.Empty(frame.Lossy);
            Assert.False(frame.News);
            Assert.InRange(frame.Exact.Count, 1, 4);
            Assert.All(frame.Exact, tile => Assert.True(exact.Add(tile)));
        }

        Assert.Equal(Tiles, exact.Count);
        Assert.Equal(0, _viewed.Lossy);
    }

    [Fact]
    public void What_is_no_photograph_never_comes_with_loss()
    {
        Measure(LinkMeter.SlowBelow / 4);
        for (int i = 0; i < _screen.Pixels.Length; i++)
        {
            // Text of few colours, and beside it a gradient of many.
            _screen.Pixels[i] = i % Width < Width / 2 ? (uint)(i / 3 % 5) * 0x333333 : (uint)(i % Width) * 0x010101;
        }

        Update();
        int tiles = 0;
        for (Frame frame; (frame = Next()).Tiles > 0; tiles += frame.Tiles)
        {
            Assert.Empty(frame.Lossy);
        }

        Assert.Equal(Tiles, tiles);
    }

    [Fact]
    public void What_changes_comes_before_what_is_to_be_refined()
    {
        Measure(LinkMeter.SlowBelow / 4);
        Update();
        ShowAll();
        _now += s_still;
        Change(Tiles - 1);
        Update();
        var frame = Next();
        Assert.True(frame.News);
        Assert.Equal([Tiles - 1], frame.Lossy);
        // What changed is in motion; the rest goes on.
        Assert.DoesNotContain(Tiles - 1, frame.Exact);
        Assert.True(_writer.Written.Length < _link.FrameBytes + (17 * 1024));
        while (Next() is { Tiles: > 0 } next)
        {
            Assert.DoesNotContain(Tiles - 1, next.Exact);
        }

        Assert.Equal(1, _viewed.Lossy);
        _now += s_still;
        Assert.Equal([Tiles - 1], Next().Exact);
    }

    [Fact]
    public void Nothing_is_refined_while_more_has_changed_than_fits()
    {
        Measure(LinkMeter.SlowBelow / 32);
        Update();
        ShowAll();
        _now += s_still;
        for (int tile = 1; tile < Tiles; tile++)
        {
            Change(tile);
        }

        Update();
        var frame = Next();
        Assert.Empty(frame.Exact);
        Assert.InRange(frame.Lossy.Count, 1, Tiles - 2);
    }

    [Fact]
    public void A_tile_that_changed_once_is_not_held_up_by_others_that_change_always()
    {
        Measure(LinkMeter.SlowBelow / 32);
        Update();
        ShowAll();
        Change(Tiles - 1);
        for (int frames = 0; frames < 20; frames++)
        {
            for (int tile = 0; tile < Tiles - 1; tile++)
            {
                Change(tile);
            }

            Update();
            if (Next().Lossy.Contains(Tiles - 1))
            {
                return;
            }
        }

        Assert.Fail("A tile was never sent.");
    }

    [Fact]
    public void A_viewer_of_a_quick_link_beside_a_slow_one_has_nothing_with_loss()
    {
        Measure(LinkMeter.SlowBelow / 4);
        Update();
        var other = new ViewedTiles();
        var quick = new LinkMeter();
        quick.Measure(LinkMeter.SmallestMeasured, TimeSpan.FromMilliseconds(1), TimeSpan.Zero);
        Next();
        Assert.Equal(Tiles, other.Compose(_grid, _frame, quick, _now, _writer, out _));
        Assert.Equal(0, other.Lossy);
        Assert.True(_viewed.Lossy > 0);
    }

    [Fact]
    public void Sending_with_loss_and_without_allocates_nothing()
    {
        Measure(LinkMeter.SlowBelow / 4);
        uint[] other = new Photograph(Width, Height, 7).Pixels;
        Run(4);
        Allocations.UntilNone(() => Run(4));

        void Run(int times)
        {
            for (int i = 0; i < times; i++)
            {
                for (int at = 0; at < other.Length; at++)
                {
                    (_screen.Pixels[at], other[at]) = (other[at], _screen.Pixels[at]);
                }

                Update();
                for (int part = 0; part < 2; part++)
                {
                    while (_viewed.Compose(_grid, _frame, _link, _now, _writer, out _) > 0)
                    {
                        _writer.Finish(1, Width, Height, 0);
                    }

                    _now += s_still;
                }
            }
        }
    }

    private void Update() => _grid.Update(_screen, ++_frame);

    private void Change(int tile) => _screen.Pixels[(tile / Columns * 64 * Width) + (tile % Columns * 64)] ^= 0x010101;

    private void Measure(int bytesPerSecond)
    {
        for (int i = 0; i < 10; i++)
        {
            _link.Measure(
                LinkMeter.SmallestMeasured, TimeSpan.FromSeconds((double)LinkMeter.SmallestMeasured / bytesPerSecond), TimeSpan.Zero);
        }
    }

    private void ShowAll()
    {
        while (Next().Tiles > 0)
        {
        }
    }

    private Frame Next()
    {
        int tiles = _viewed.Compose(_grid, _frame, _link, _now, _writer, out bool news);
        if (tiles == 0)
        {
            return new([], [], news);
        }

        int length = _writer.Length;
        _writer.Finish(7, Width, Height, 5);
        Assert.Equal(length, _writer.Written.Length);
        var frame = Frame.Read(_writer.Written, news);
        Assert.Equal(tiles, frame.Tiles);
        return frame;
    }

    private sealed record Frame(IReadOnlyList<int> Exact, IReadOnlyList<int> Lossy, bool News)
    {
        public int Tiles => Exact.Count + Lossy.Count;

        /// <summary>As Scripts/display/screen.ts reads it.</summary>
        public static Frame Read(ReadOnlySpan<byte> data, bool news)
        {
            var exact = new List<int>();
            var lossy = new List<int>();
            int at = 16;
            for (int count = BinaryPrimitives.ReadUInt16LittleEndian(data[12..]); count > 0; count--)
            {
                exact.Add(BinaryPrimitives.ReadUInt16LittleEndian(data[at..]));
                at += 4 + BinaryPrimitives.ReadUInt16LittleEndian(data[(at + 2)..]);
            }

            for (int count = BinaryPrimitives.ReadUInt16LittleEndian(data[14..]); count > 0; count--, at += 2)
            {
                lossy.Add(BinaryPrimitives.ReadUInt16LittleEndian(data[at..]));
            }

            if (lossy.Count > 0)
            {
                var (width, height, _) = TextbookJpeg.Decode(data[at..]);
                Assert.Equal((64, 64 * lossy.Count), (width, height));
            }
            else
            {
                Assert.Equal(data.Length, at);
            }

            return new(exact, lossy, news);
        }
    }
}
