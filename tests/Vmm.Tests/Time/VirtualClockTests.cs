using WebVm.Vmm.Time;
using Xunit;

namespace WebVm.Vmm.Tests.Time;

public sealed class VirtualClockTests
{
    private static readonly TimeSpan s_away = TimeSpan.FromDays(3);

    [Fact]
    public void A_clock_that_catches_up_shows_what_it_would_if_it_had_not_stopped_and_does_so_once()
    {
        var clock = new VirtualClock();
        clock.Set(5_000, DateTimeOffset.UtcNow - s_away);
        clock.CatchUp();
        Assert.InRange(clock.Now - 5_000, s_away.Ticks * 100, (s_away + TimeSpan.FromMinutes(5)).Ticks * 100);
        Assert.Equal(clock.Now - 5_000, clock.CaughtUp);
        long now = clock.Now;
        clock.CatchUp();
        Assert.Equal(now, clock.Now);
    }

    [Fact]
    public void A_clock_that_has_never_run_or_runs_has_nothing_to_catch_up()
    {
        var clock = new VirtualClock();
        clock.CatchUp();
        Assert.Equal(0, clock.Now);
        clock.Start();
        clock.CatchUp();
        Assert.Equal(0, clock.CaughtUp);
        clock.Stop();
        Assert.NotNull(clock.StoppedAt);
    }

    [Fact]
    public void A_calendar_that_was_set_back_or_lies_moves_no_clock_back_or_beyond_its_end()
    {
        var clock = new VirtualClock();
        clock.Set(5_000, DateTimeOffset.UtcNow + s_away);
        clock.CatchUp();
        Assert.Equal(5_000, clock.Now);
        clock.Set(VirtualClock.Latest - 5_000, DateTimeOffset.MinValue);
        clock.CatchUp();
        Assert.Equal(VirtualClock.Latest, clock.Now);
    }
}
