using Microsoft.Extensions.Options;
using WebVm.Api.Images;
using WebVm.Api.Settings;
using Xunit;

namespace WebVm.Api.Tests.Images;

public sealed class ImageStoreTests
{
    [Fact]
    public void A_claim_that_is_given_up_twice_leaves_the_next_one_alone()
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
