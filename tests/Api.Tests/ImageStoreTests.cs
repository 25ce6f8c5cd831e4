using Microsoft.Extensions.Options;
using WebVm.Api.Images;
using WebVm.Api.Settings;
using Xunit;

namespace WebVm.Api.Tests;

public sealed class ImageStoreTests
{
    [Fact]
    public void AClaimThatIsGivenUpTwiceLeavesTheNextOneAlone()
    {
        var store = new ImageStore(Options.Create(new ServiceOptions()));
        var id = Guid.NewGuid();
        var first = store.TryClaim(id);
        Assert.Null(store.TryClaim(id));
        first!.Dispose();
        using var second = store.TryClaim(id);
        Assert.NotNull(second);
        first.Dispose();
        Assert.Null(store.TryClaim(id));
    }
}
