using WebVm.Vmm.Time;
using Xunit;

namespace WebVm.Vmm.Tests.Time;

public sealed class TimerServiceTests : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    private readonly VirtualClock _clock = new();
    private readonly TimerService _service;

    public TimerServiceTests() => _service = new TimerService(_clock);

    public void Dispose() => _service.Dispose();

    [Fact]
    public void A_timer_fires_once_and_not_before_its_deadline()
    {
        _clock.Start();
        using var fired = new SemaphoreSlim(0);
        long firedAt = 0;
        var timer = _service.CreateTimer(() =>
        {
            firedAt = _clock.Now;
            fired.Release();
        });

        long deadline = _clock.Now + 3_000_000;
        timer.Arm(deadline);

        Assert.True(fired.Wait(Patience));
        Assert.True(firedAt >= deadline);
        Assert.False(fired.Wait(TimeSpan.FromMilliseconds(20)));
    }

    [Fact]
    public void Timers_fire_in_the_order_of_their_deadlines_and_equal_ones_as_armed()
    {
        var order = new List<int>();
        using var last = new ManualResetEventSlim();
        var timers = Enumerable.Range(0, 100).Select(i => _service.CreateTimer(() => order.Add(i))).ToArray();
        var random = new Random(7);
        var deadlines = timers.Select(_ => (long)random.Next(1, 20) * 1000).ToArray();
        for (int i = 0; i < timers.Length; i++)
        {
            timers[i].Arm(deadlines[i]);
        }

        _service.CreateTimer(last.Set).Arm(1_000_000);
        _clock.Start();

        Assert.True(last.Wait(Patience));
        Assert.Equal(Enumerable.Range(0, 100).OrderBy(i => deadlines[i]).ThenBy(i => i), order);
    }

    [Fact]
    public void Nothing_fires_while_the_clock_stands_still()
    {
        using var fired = new ManualResetEventSlim();
        _clock.Start();
        _clock.Stop();
        _service.CreateTimer(fired.Set).Arm(_clock.Now + 1000);

        Assert.False(fired.Wait(TimeSpan.FromMilliseconds(30)));
        _clock.Start();
        Assert.True(fired.Wait(Patience));
    }

    [Fact]
    public void A_timer_armed_earlier_than_the_one_slept_for_fires_first()
    {
        _clock.Start();
        using var far = new ManualResetEventSlim();
        using var near = new ManualResetEventSlim();
        _service.CreateTimer(far.Set).Arm(_clock.Now + 3_600_000_000_000_000);
        Thread.Sleep(5);
        _service.CreateTimer(near.Set).Arm(_clock.Now + 1_000_000);

        Assert.True(near.Wait(Patience));
        Assert.False(far.IsSet);
    }

    [Fact]
    public void A_cancelled_timer_stays_silent_and_a_past_deadline_fires_at_once()
    {
        int cancelled = 0;
        using var marker = new ManualResetEventSlim();
        var victim = _service.CreateTimer(() => cancelled++);
        victim.Arm(_clock.Now + 2_000_000);
        victim.Cancel();
        _service.CreateTimer(marker.Set).Arm(_clock.Now + 5_000_000);
        // Only now does time pass: the timer was cancelled before its deadline however late this thread came to it.
        _clock.Start();

        Assert.True(marker.Wait(Patience));
        Assert.Equal(0, cancelled);

        marker.Reset();
        _service.CreateTimer(marker.Set).Arm(long.MinValue);
        Assert.True(marker.Wait(Patience));
    }

    [Fact]
    public void A_timer_that_is_withdrawn_does_not_fire_and_those_behind_it_do()
    {
        _clock.Start();
        bool fired = false;
        using var later = new ManualResetEventSlim();
        var first = _service.CreateTimer(() => fired = true);
        first.Arm(_clock.Now + 1_000_000_000_000);
        first.Withdraw();
        _clock.Stop();
        first.Arm(1);
        _service.CreateTimer(later.Set).Arm(_clock.Now);
        first.Withdraw();
        _clock.Start();
        Assert.True(later.Wait(Patience));
        Assert.False(fired);
    }

    [Fact]
    public void Cancelling_and_waiting_outlasts_a_callback_that_arms_itself_again()
    {
        _clock.Start();
        IVirtualTimer? timer = null;
        bool inside = false;
        using var begun = new ManualResetEventSlim();
        timer = _service.CreateTimer(() =>
        {
            Volatile.Write(ref inside, true);
            begun.Set();
            timer!.Arm(_clock.Now);
            Thread.Sleep(2);
            Volatile.Write(ref inside, false);
        });
        timer.Arm(0);
        Assert.True(begun.Wait(Patience));

        timer.CancelAndWait();

        Assert.False(Volatile.Read(ref inside));
        begun.Reset();
        Assert.False(begun.Wait(TimeSpan.FromMilliseconds(10)));
    }

    [Fact]
    public void No_wake_up_is_lost_when_many_threads_arm_and_cancel()
    {
        _clock.Start();
        const int Threads = 4;
        const int Rounds = 2000;
        var failures = new System.Collections.Concurrent.ConcurrentBag<string>();
        var workers = Enumerable.Range(0, Threads).Select(seed => new Thread(() =>
        {
            var random = new Random(seed);
            using var fired = new SemaphoreSlim(0);
            using var timer = _service.CreateTimer(() => fired.Release());
            using var decoy = _service.CreateTimer(() => { });
            for (int i = 0; i < Rounds; i++)
            {
                decoy.Arm(_clock.Now + random.Next(0, 100_000));
                timer.Arm(_clock.Now + random.Next(-1000, 20_000));
                if (random.Next(4) == 0)
                {
                    decoy.Cancel();
                }

                if (!fired.Wait(Patience))
                {
                    failures.Add($"seed {seed} round {i}");
                    return;
                }
            }
        })).ToArray();
        foreach (var worker in workers)
        {
            worker.Start();
        }

        foreach (var worker in workers)
        {
            Assert.True(worker.Join(TimeSpan.FromSeconds(60)));
        }

        Assert.Empty(failures);
    }

    [Fact]
    public void Arming_and_cancelling_allocate_nothing()
    {
        _clock.Start();
        var timers = Enumerable.Range(0, 40).Select(_ => _service.CreateTimer(() => { })).ToArray();
        long far = _clock.Now + 1_000_000_000_000;
        Allocations.UntilNone(() => Exercise(200));

        void Exercise(int rounds)
        {
            for (int round = 0; round < rounds; round++)
            {
                for (int i = 0; i < timers.Length; i++)
                {
                    timers[i].Arm(far - (i * round));
                }

                foreach (var timer in timers)
                {
                    timer.Cancel();
                }
            }
        }
    }
}
