using WebVm.Vmm.Memory;
using Xunit;

namespace WebVm.Vmm.Tests.Memory;

public sealed class PageWatchTests : IDisposable
{
    private const int Pages = 300;

    private readonly GuestMemory _memory = new();
    private readonly GuestMemoryRegion _ram;

    public PageWatchTests()
    {
        _ram = _memory.CreateRegion("ram", GuestMemoryKind.Ram, Pages * 4096);
        Assert.True(_memory.TryMap(_ram, new(0)));
    }

    public void Dispose() => _memory.Dispose();

    [Fact]
    public void Each_watch_sees_what_changed_since_its_own_last_look()
    {
        Write(1);
        using var first = _memory.Watch(_ram);
        Write(2);
        using var second = _memory.Watch(_ram);
        Write(3);
        Assert.Equal([2, 3], Look(first));
        Assert.Equal([3], Look(second));
        Write(4);
        Assert.Equal([4], Look(first));
        Assert.Empty(Look(first));
        Write(5);
        Assert.Equal([4, 5], Look(second));
        Assert.Equal([5], Look(first));
        Assert.Empty(Look(second));
    }

    [Fact]
    public void A_watch_of_some_pages_sees_those()
    {
        using var all = _memory.Watch(_ram);
        using var some = _memory.Watch(_ram, 63, 66);
        foreach (int page in (int[])[0, 62, 63, 64, 127, 128, 129, 299])
        {
            Write(page);
        }

        Assert.Equal([63, 64, 127, 128], Look(some));
        Assert.Equal([0, 62, 63, 64, 127, 128, 129, 299], Look(all));
    }

    [Fact]
    public void Writes_by_every_name_are_seen()
    {
        Assert.True(_memory.TryMap(new GuestMapping(new(1 << 30), _ram, 5 * 4096, 4 * 4096, BackingKind.Memory)));
        using var watch = _memory.Watch(_ram);
        Assert.True(_memory.TryWrite(new((1 << 30) + 4096), (byte)1));
        Write(8);
        _memory.Unmap(_ram);
        Assert.Equal([6, 8], Look(watch));
        Assert.True(_memory.TryMap(_ram, new(2 << 20)));
        Assert.Empty(Look(watch));
        Assert.True(_memory.TryWrite(new((2 << 20) + 4095), (byte)1));
        Assert.Equal([0], Look(watch));
    }

    [Fact]
    public void An_ended_watch_changes_nothing_for_the_others()
    {
        using var stays = _memory.Watch(_ram);
        var ends = _memory.Watch(_ram);
        Write(9);
        Look(ends);
        ends.Dispose();
        ends.Dispose();
        Assert.True(_ram.IsWatched);
        Write(10);
        Assert.Equal([9, 10], Look(stays));
        stays.Dispose();
        Assert.False(_ram.IsWatched);
    }

    [Fact]
    public void Many_watches_under_writers_miss_nothing()
    {
        using var end = new CancellationTokenSource();
        var written = new int[Pages];
        var writers = Enumerable.Range(0, 2).Select(seed => new Thread(() =>
        {
            var random = new Random(seed);
            while (!end.IsCancellationRequested)
            {
                int page = random.Next(Pages);
                int value = Interlocked.Increment(ref written[page]);
                _memory.TryWrite(new((ulong)page * 4096 + 8 + (ulong)(seed * 4)), value);
            }
        })).ToArray();
        var watches = Enumerable.Range(0, 3).Select(_ => _memory.Watch(_ram)).ToArray();
        var copies = watches.Select(_ => new ulong[Pages]).ToArray();
        Array.ForEach(writers, writer => writer.Start());
        for (int round = 0; round < 3_000; round++)
        {
            Copy(round % 3);
        }

        end.Cancel();
        Array.ForEach(writers, writer => writer.Join());
        for (int i = 0; i < 3; i++)
        {
            Copy(i);
            for (int page = 0; page < Pages; page++)
            {
                _memory.TryRead(new((ulong)page * 4096 + 8), out ulong now);
                Assert.Equal(now, copies[i][page]);
            }
        }

        void Copy(int watch)
        {
            foreach (int page in Look(watches[watch]))
            {
                _memory.TryRead(new((ulong)page * 4096 + 8), out copies[watch][page]);
            }
        }
    }

    [Fact]
    public void Looking_allocates_nothing()
    {
        using var first = _memory.Watch(_ram);
        using var second = _memory.Watch(_ram);
        var bitmap = new ulong[first.Words];
        Allocations.UntilNone(() =>
        {
            for (int i = 0; i < 1000; i++)
            {
                Write(i % Pages);
                Array.Clear(bitmap);
                first.Collect(bitmap);
                second.Collect(bitmap);
            }
        });
    }

    private void Write(int page) => Assert.True(_memory.TryWrite(new((ulong)page * 4096), 1));

    private static List<int> Look(PageWatch watch)
    {
        var bitmap = new ulong[watch.Words];
        watch.Collect(bitmap);
        return [.. Enumerable.Range(0, watch.Region.PageCount).Where(page => (bitmap[page / 64] >> (page & 63) & 1) != 0)];
    }
}
