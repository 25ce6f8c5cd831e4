using System.Runtime.CompilerServices;
using WebVm.Api.Hosting;
using Xunit;

namespace WebVm.Api.Tests.Hosting;

public sealed class SpareMemoryTests
{
    private const long Mebibyte = 1 << 20;

    [Theory]
    [InlineData(0, 0, false)]
    [InlineData(1, 63, false)]
    [InlineData(1, 64, true)]
    [InlineData(63, 1000, true)]
    [InlineData(64, 1000, false)]
    public void It_is_given_back_when_there_is_much_and_nothing_is_under_way(long lately, long since, bool due) =>
        Assert.Equal(due, SpareMemory.IsDue(lately * Mebibyte, since * Mebibyte));

    [Fact]
    public void What_is_not_used_any_more_is_found()
    {
        var gone = Abandon();
        SpareMemory.GiveBack();
        Assert.False(gone.IsAlive);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference Abandon()
    {
        byte[] large = new byte[Mebibyte];
        // It has outlived a collection: only one of everything finds it.
        GC.Collect();
        var gone = new WeakReference(large);
        GC.KeepAlive(large);
        return gone;
    }
}
