using System.Diagnostics;
using WebVm.Api.Console.Display;
using Xunit;

namespace WebVm.Api.Tests.Console;

public sealed class ScreenTicksTests
{
    private static readonly long s_untilRest = (long)(ScreenTicks.UntilRest.TotalSeconds * Stopwatch.Frequency);

    [Fact]
    public void A_screen_without_changes_is_looked_at_less_often()
    {
        using var ticks = new ScreenTicks(1000);
        ticks.Still(1000 + s_untilRest - 1);
        Assert.Equal(ScreenTicks.Quick, ticks.Period);
        ticks.Still(1000 + s_untilRest);
        Assert.Equal(ScreenTicks.Resting, ticks.Period);
    }

    [Fact]
    public void What_happens_puts_the_rest_off()
    {
        using var ticks = new ScreenTicks(1000);
        ticks.Active(1000 + (s_untilRest / 2));
        ticks.Still(1000 + s_untilRest);
        Assert.Equal(ScreenTicks.Quick, ticks.Period);
    }

    [Fact]
    public async Task A_key_ends_the_rest_of_a_tick_that_is_awaited()
    {
        using var ticks = new ScreenTicks(1000);
        ticks.Still(1000 + s_untilRest);
        var next = ticks.NextAsync();
        ticks.Active(1000 + s_untilRest);
        Assert.Equal(ScreenTicks.Quick, ticks.Period);
        Assert.True(await next);
    }

    [Fact]
    public async Task A_key_after_the_last_tick_is_nothing_to_anybody()
    {
        var ticks = new ScreenTicks(1000);
        ticks.Still(1000 + s_untilRest);
        ticks.Dispose();
        ticks.Active(1000 + s_untilRest);
        Assert.False(await ticks.NextAsync());
    }
}
