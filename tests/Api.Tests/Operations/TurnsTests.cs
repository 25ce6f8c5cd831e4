using WebVm.Api.Operations;
using Xunit;

namespace WebVm.Api.Tests.Operations;

public sealed class TurnsTests
{
    private readonly Turns _turns = new();

    [Fact]
    public async Task Who_wants_the_same_thing_waits_and_others_do_not()
    {
        var first = await _turns.TakeAsync("a", Rest.Cancellation);
        var second = _turns.TakeAsync("a", Rest.Cancellation);
        using (await _turns.TakeAsync("b", Rest.Cancellation))
        {
            Assert.False(second.IsCompleted);
        }

        first.Dispose();
        (await second).Dispose();
    }

    [Fact]
    public async Task What_nobody_wants_is_forgotten_even_when_the_wait_is_broken_off()
    {
        using var cancel = new CancellationTokenSource();
        var first = await _turns.TakeAsync("a", Rest.Cancellation);
        var second = _turns.TakeAsync("a", cancel.Token);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second);
        Assert.Equal(1, _turns.Count);
        first.Dispose();
        Assert.Equal(0, _turns.Count);
    }
}
