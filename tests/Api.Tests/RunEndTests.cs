using WebVm.Api.Supervisor;
using Xunit;

namespace WebVm.Api.Tests;

public sealed class RunEndTests
{
    [Theory]
    [InlineData("webvm-vmm: /srv/data/images/01a1fe7223847b6ab13935537d016cfe/content: not recognized", "The machine could not be built: its image: not recognized")]
    [InlineData("webvm-vmm: /dev/kvm: permission denied", "The machine could not be built: /dev/kvm: permission denied")]
    [InlineData("", "The machine could not be built.")]
    public void TheReasonIsForUsersAndTellsNothingOfTheHostsFolders(string log, string reason) => Assert.Equal(reason, RunEnd.From(2, log).Reason);
}
