using Microsoft.Extensions.Options;
using WebVm.Api.Settings;
using WebVm.Api.Runs;
using Xunit;

namespace WebVm.Api.Tests.Runs;

public sealed class RunEndTests
{
    private static readonly HostPaths Paths = new(Options.Create(new ServiceOptions { Data = "/srv/data" }));

    [Theory]
    [InlineData("webvm-vmm: /srv/data/images/01a1fe7223847b6ab13935537d016cfe/content: not recognized",
        "The machine could not be built: its image: not recognized")]
    [InlineData("webvm-vmm: /dev/kvm: permission denied", "The machine could not be built: /dev/kvm: permission denied")]
    [InlineData("webvm-vmm: one\nwebvm-vmm: /srv/data/run/0123456789ab/machine.json: two",
        "The machine could not be built: one\nmachine.json: two")]
    [InlineData("", "The machine could not be built.")]
    public void The_reason_is_for_users_and_tells_nothing_of_the_hosts_folders(string log, string reason) =>
        Assert.Equal(reason, Paths.Hide(RunEnd.From(2, log).Reason));

    [Theory]
    [InlineData(153, "The monitor made a file larger than it may be.")]
    [InlineData(159, "The monitor made a forbidden system call.")]
    [InlineData(137, "The monitor was killed by signal 9.")]
    [InlineData(143, "The monitor was asked to end, as by a host that shuts down.")]
    public void A_signal_is_named_by_what_it_means(int code, string reason) =>
        Assert.Equal(new RunEnd(true, false, reason), RunEnd.From(code, "anything"));

    [Fact]
    public void A_keeper_that_left_without_a_monitor_says_why()
    {
        Assert.Equal(
            new RunEnd(true, false, "The monitor could not be started: webvm-vmm keep: no"),
            RunEnd.Of(new KeeperFailure(4, "webvm-vmm keep: no")));
        Assert.True(RunEnd.Of(new KeeperFailure(2, "")).Hopeless);
    }

    [Fact]
    public void What_no_database_takes_is_not_in_it() => Assert.Equal("one two", Paths.Hide("one\0two"));

    [Fact]
    public void What_the_service_says_itself_is_put_into_the_same_words() =>
        Assert.Equal(
            "Could not find file 'its image'.", Paths.Hide(
                "Could not find file '/srv/data/images/01a1fe7223847b6ab13935537d016cfe/kernel'."));
}
