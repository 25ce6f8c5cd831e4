using System.Diagnostics;
using WebVm.Vmm.Host;
using Xunit;

namespace WebVm.Vmm.Tests.Host;

public sealed class ThreadParkerTests
{
    private readonly ThreadParker _parker = new();

    [Fact]
    public void Who_was_woken_before_does_not_sleep_but_once()
    {
        _parker.Wake();
        _parker.Wake();
        Assert.True(_parker.Park(long.MaxValue));
        Assert.False(_parker.Park(Stopwatch.GetTimestamp() + 1_000_000));
    }

    [Theory]
    [InlineData(-1L)]
    [InlineData(0L)]
    public void A_deadline_that_is_past_ends_the_sleep_at_once(long deadline) => Assert.False(_parker.Park(deadline));

    [Fact]
    public void A_deadline_ends_the_sleep_when_it_has_come()
    {
        long deadline = Stopwatch.GetTimestamp() + 5_000_000;
        while (Stopwatch.GetTimestamp() < deadline)
        {
            Assert.False(_parker.Park(deadline));
        }
    }

    [Fact]
    public void No_wake_up_is_lost()
    {
        const int Rounds = 20_000;
        var answer = new ThreadParker();
        int asked = 0;
        int served = 0;
        var server = new Thread(() =>
        {
            while (served < Rounds)
            {
                while (Volatile.Read(ref asked) == served)
                {
                    _parker.Park(long.MaxValue);
                }

                Volatile.Write(ref served, served + 1);
                answer.Wake();
            }
        });
        server.Start();
        for (int round = 1; round <= Rounds; round++)
        {
            Volatile.Write(ref asked, round);
            _parker.Wake();
            while (Volatile.Read(ref served) != round)
            {
                answer.Park(long.MaxValue);
            }
        }

        server.Join();
        Assert.Equal(Rounds, served);
    }
}
