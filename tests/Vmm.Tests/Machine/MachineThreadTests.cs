using WebVm.Vmm.Machine.Lifecycle;
using Xunit;

namespace WebVm.Vmm.Tests.Machine;

public sealed class MachineThreadTests
{
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(1);

    [Fact]
    public async Task What_a_transition_awaits_comes_back_to_the_thread()
    {
        using var thread = new MachineThread("test", s_limit);
        int id = await thread.Run(() => Environment.CurrentManagedThreadId).WaitAsync(s_limit);
        var seen = await thread.RunTransition(async ending =>
        {
            int before = Environment.CurrentManagedThreadId;
            await Task.Delay(1, ending);
            int between = Environment.CurrentManagedThreadId;
            await Task.Run(() => Assert.NotEqual(before, Environment.CurrentManagedThreadId), ending);
            return (before, between, Environment.CurrentManagedThreadId);
        }).WaitAsync(s_limit);
        Assert.Equal((id, id, id), seen);
    }

    [Fact]
    public async Task Transitions_run_one_after_the_other_and_questions_are_answered_meanwhile()
    {
        using var thread = new MachineThread("test", s_limit);
        var log = new List<string>();
        var hold = new TaskCompletionSource();
        var begun = new TaskCompletionSource();
        var first = thread.RunTransition(async _ =>
        {
            log.Add("first begins");
            begun.SetResult();
            await hold.Task;
            log.Add("first ends");
        });
        var second = thread.RunTransition(_ =>
        {
            log.Add("second");
            return Task.CompletedTask;
        });
        // What is short goes before what has not begun.
        await begun.Task.WaitAsync(s_limit);
        thread.Post(() => log.Add("post"));
        Assert.Equal(["first begins", "post"], await thread.Run(() => log.ToArray()).WaitAsync(s_limit));
        hold.SetResult();
        await first.WaitAsync(s_limit);
        await second.WaitAsync(s_limit);
        Assert.Equal(["first begins", "post", "first ends", "second"], log);
    }

    [Fact]
    public async Task The_last_transition_cancels_what_the_active_one_waits_for_and_is_next()
    {
        using var thread = new MachineThread("test", s_limit);
        var log = new List<string>();
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var active = thread.RunTransition(async ending =>
        {
            try
            {
                begun.SetResult();
                await Task.Delay(Timeout.Infinite, ending);
            }
            finally
            {
                log.Add("active gave up");
            }
        });
        // One that has not begun would be overtaken, not cancelled.
        await begun.Task.WaitAsync(s_limit);
        var queued = thread.RunTransition(_ =>
        {
            log.Add("queued");
            return Task.CompletedTask;
        });
        var last = thread.RunTransition(
            async ending =>
            {
                log.Add("last begins");
                await Task.Delay(10, ending);
                log.Add("last ends");
                return 1;
            },
            last: true);
        var another = thread.RunTransition(_ => Task.FromResult(log.Count), last: true);
        Assert.Equal(1, await last.WaitAsync(s_limit));
        Assert.Equal(3, await another.WaitAsync(s_limit));
        await queued.WaitAsync(s_limit);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => active.WaitAsync(s_limit));
        Assert.Equal(["active gave up", "last begins", "last ends", "queued"], log);
    }

    [Fact]
    public async Task A_failure_reaches_who_asked_and_the_thread_goes_on()
    {
        using var thread = new MachineThread("test", s_limit);
        await Assert.ThrowsAsync<InvalidOperationException>(
            () => thread.RunTransition(_ => throw new InvalidOperationException()).WaitAsync(s_limit));
        await Assert.ThrowsAsync<InvalidOperationException>(() => thread.RunTransition(async _ =>
        {
            await Task.Yield();
            throw new InvalidOperationException();
        }).WaitAsync(s_limit));
        Assert.Equal(7, await thread.Run(() => 7).WaitAsync(s_limit));
    }

    [Fact]
    public async Task The_end_finishes_what_is_queued_and_refuses_what_comes_after()
    {
        var thread = new MachineThread("test", s_limit);
        var log = new List<string>();
        var waits = thread.RunTransition(async ending => await Task.Delay(Timeout.Infinite, ending));
        var queued = thread.RunTransition(async _ =>
        {
            await Task.Yield();
            log.Add("queued");
        });
        thread.Dispose();
        Assert.Equal(["queued"], log);
        Assert.False(thread.HasLeftSomething);
        Assert.True(waits.IsCompleted || await Task.WhenAny(waits, Task.Delay(s_limit)) == waits);
        await queued.WaitAsync(s_limit);
        await Assert.ThrowsAsync<MachineStateException>(() => thread.Run(() => 1));
        await Assert.ThrowsAsync<MachineStateException>(() => thread.RunTransition(_ => Task.CompletedTask));
        thread.Post(() => log.Add("too late"));
        thread.Dispose();
        Assert.Single(log);
    }

    [Fact]
    public async Task A_transition_that_heeds_nothing_is_left_behind_and_never_comes_back()
    {
        var thread = new MachineThread("test", TimeSpan.FromMilliseconds(50));
        var hold = new TaskCompletionSource();
        bool cameBack = false;
        var stuck = thread.RunTransition(async _ =>
        {
            await hold.Task;
            cameBack = true;
        });
        var queued = thread.RunTransition(_ => Task.CompletedTask);
        thread.Dispose();
        Assert.True(thread.HasLeftSomething);
        await Assert.ThrowsAsync<MachineStateException>(() => stuck.WaitAsync(s_limit));
        await Assert.ThrowsAsync<MachineStateException>(() => queued.WaitAsync(s_limit));
        hold.SetResult();
        await Task.Delay(50, TestContext.Current.CancellationToken);
        Assert.False(cameBack);
    }

    [Fact]
    public async Task The_end_from_the_thread_itself_does_not_wait_for_itself()
    {
        var thread = new MachineThread("test", s_limit);
        await thread.RunTransition(async _ =>
        {
            await Task.Yield();
            thread.Dispose();
        }).WaitAsync(s_limit);
        thread.Dispose();
    }
}
