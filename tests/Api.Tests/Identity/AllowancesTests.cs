using System.Net;
using WebVm.Api.Identity;
using Xunit;

namespace WebVm.Api.Tests.Identity;

/// <summary>How often one may be wrong, by a clock that stands still.</summary>
public sealed class AllowancesTests
{
    private readonly FixedTime _time = new(DateTimeOffset.UnixEpoch);

    [Fact]
    public void What_is_taken_comes_back_one_by_one_and_never_more_than_there_was()
    {
        var allowances = new Allowances(3, TimeSpan.FromSeconds(10), _time);
        Assert.Equal([true, true, true, false], Enumerable.Range(0, 4).Select(turn => allowances.TryTake("a", out _)));
        Assert.True(allowances.TryTake("b", out _));
        allowances.TryTake("a", out var wait);
        Assert.Equal(TimeSpan.FromSeconds(10), wait);
        _time.Now += wait;
        Assert.Equal([true, false], Enumerable.Range(0, 2).Select(turn => allowances.TryTake("a", out _)));
        allowances.GiveBack("a");
        Assert.Equal(2, allowances.Taken("a"));
        _time.Now += TimeSpan.FromHours(1);
        Assert.Equal([true, true, true, false], Enumerable.Range(0, 4).Select(turn => allowances.TryTake("a", out _)));
    }

    [Fact]
    public void However_many_keys_there_are_few_are_remembered()
    {
        var allowances = new Allowances(1, TimeSpan.FromHours(1), _time);
        for (int i = 0; i < 10 * Allowances.Remembered; i++)
        {
            allowances.TryTake($"{i}", out _);
        }

        Assert.InRange(allowances.Count, Allowances.Remembered, 2 * Allowances.Remembered);
        Assert.False(allowances.TryTake($"{(10 * Allowances.Remembered) - 1}", out _));
    }

    [Theory]
    [InlineData("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", true)]
    [InlineData("2001:db8:1:2::1", "2001:db8:1:3::1", false)]
    [InlineData("::ffff:192.0.2.1", "192.0.2.1", true)]
    [InlineData("192.0.2.1", "192.0.2.2", false)]
    public void A_host_of_IPv6_is_its_whole_network(string one, string other, bool same) =>
        Assert.Equal(same, GuessLimits.KeyOf(IPAddress.Parse(one)) == GuessLimits.KeyOf(IPAddress.Parse(other)));

    [Fact]
    public void Guesses_from_many_addresses_slow_down_and_lock_nobody_out()
    {
        using var limits = new GuessLimits(_time);
        for (int i = 0; i < GuessLimits.WrongForName; i++)
        {
            limits.WasWrong("admin");
        }

        Assert.Equal(TimeSpan.Zero, limits.SlowDown("admin"));
        limits.WasWrong("admin");
        Assert.True(limits.SlowDown("admin") > TimeSpan.Zero);
        Assert.Equal(TimeSpan.Zero, limits.SlowDown("somebody-else"));
        for (int i = 0; i < 100_000; i++)
        {
            limits.WasWrong("admin");
        }

        Assert.Equal(TimeSpan.FromSeconds(3), limits.SlowDown("admin"));
        Assert.True(limits.TrySignIn(IPAddress.Parse("192.0.2.1"), null, out _));
        _time.Now += TimeSpan.FromMinutes(10);
        Assert.Equal(TimeSpan.Zero, limits.SlowDown("admin"));
    }

    [Fact]
    public void Who_is_known_has_tries_that_nobody_else_uses_up()
    {
        using var limits = new GuessLimits(_time);
        var shared = IPAddress.Parse("192.0.2.1");
        while (limits.TrySignIn(shared, null, out _))
        {
        }

        Assert.True(limits.TrySignIn(shared, "known", out _));
        Assert.False(limits.TrySignIn(shared, null, out var wait));
        Assert.True(wait > TimeSpan.Zero);
        while (limits.TrySignIn(shared, "known", out _))
        {
        }

        Assert.True(limits.TrySignIn(shared, "other", out _));
    }

    [Fact]
    public async Task Strangers_do_not_take_the_turn_of_who_is_known()
    {
        using var limits = new GuessLimits(_time);
        using var hold = new ManualResetEventSlim();
        // As many as may look at once hold on; the others wait until no more may.
        var strangers =
            Enumerable.Range(0, 64 + Environment.ProcessorCount)
                .Select(_ => Task.Run(() => limits.InTurnAsync(false, () => hold.Wait(Rest.Patience), Rest.Cancellation))).ToArray();
        var first = await Task.WhenAny(strangers);
        Assert.Null(await first);
        var known = limits.InTurnAsync(true, () => true, Rest.Cancellation);
        hold.Set();
        Assert.True(await known);
        Assert.Contains(true, await Task.WhenAll(strangers));
    }
}
