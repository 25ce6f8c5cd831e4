using Xunit;

namespace WebVm.Api.Tests.Conventions;

/// <summary>./webvm with arguments that cannot be meant: a sentence that says so, before anything is built.</summary>
public sealed class VerbTests
{
    [Theory]
    [InlineData("nonsense", "unknown verb 'nonsense'")]
    [InlineData("run --port 9000", "settings are variables: WEBVM_LISTEN=")]
    [InlineData("test --short", "unknown option '--short'")]
    [InlineData("test One Two", "one filter at most")]
    [InlineData("image", "usage: ./webvm image build NAME")]
    [InlineData("image build", "usage: ./webvm image build tiny|generic|memtest")]
    [InlineData("image build huge", "unknown image 'huge'")]
    [InlineData("image list all", "usage: ./webvm image list")]
    [InlineData("image path tiny", "run: ./webvm image build tiny")]
    [InlineData("publish", "usage: ./webvm publish FOLDER")]
    [InlineData("publish --help", "usage: ./webvm publish FOLDER")]
    [InlineData("publish /proc/none", "/proc/none cannot be written to")]
    [InlineData("doctor now", "doctor takes no arguments")]
    [InlineData("sign-in-link admin", "sign-in-link takes no arguments")]
    public async Task Wrong_arguments_are_named(string arguments, string named)
    {
        using var checkout = new Checkout();
        checkout.StandInForTheSdk();
        Array.ForEach(["node", "npm"], program => checkout.StandIn(program, ""));
        var (exitCode, said) = await checkout.WebVmAsync(arguments.Split(' '));
        Assert.Equal(2, exitCode);
        Assert.StartsWith("webvm: ", said[^1], StringComparison.Ordinal);
        Assert.Contains(named, said[^1], StringComparison.Ordinal);
        Assert.Equal(0, checkout.Calls);
    }

    [Fact]
    public async Task A_doctor_comes_to_the_end_before_anything_was_built()
    {
        using var checkout = new Checkout();
        checkout.StandInForTheSdk();
        var (_, said) = await checkout.WebVmAsync("doctor");
        Assert.Contains(said, line => line.StartsWith("walls        unknown", StringComparison.Ordinal));
        Assert.StartsWith("cache ", said[^1], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("error NU1301: Unable to load the service index", "NuGet's packages could not be fetched")]
    [InlineData("npm error code EAI_AGAIN", "npm's packages could not be fetched")]
    [InlineData("write error: No space left on device", "the disk is full")]
    public async Task A_build_that_fails_for_want_of_something_says_of_what(string output, string named)
    {
        using var checkout = new Checkout();
        checkout.StandIn("dotnet", $"[[ $1 == --version ]] && exec echo 10.0.100\necho \"{output}\"; exit 1");
        File.Delete(Path.Combine(checkout.Built, "webvm-vmm.dll"));
        var (exitCode, said) = await checkout.WebVmAsync("vmm", "--help");
        Assert.Equal(4, exitCode);
        Assert.Contains(output, said);
        Assert.Contains(named, said[^1], StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_did_not_change_is_not_built_again()
    {
        using var checkout = new Checkout();
        string source = Path.Combine(checkout.Root, "src/Vmm/Program.cs");
        checkout.StandIn("dotnet", $"[[ $1 == --version ]] && exec echo 10.0.100\necho \"$@\" >>{checkout.Root}/calls");
        await File.WriteAllTextAsync(source, "", Rest.Cancellation);
        Array.ForEach(
            [source, Path.GetDirectoryName(source)!, Path.Combine(checkout.Root, "Directory.Build.props")],
            path => File.SetLastWriteTimeUtc(path, DateTime.UtcNow.AddMinutes(-1)));
        await checkout.WebVmAsync("vmm", "0");
        Assert.Equal(0, checkout.Calls);
        File.SetLastWriteTimeUtc(source, DateTime.UtcNow);
        await checkout.WebVmAsync("vmm", "0");
        Assert.Equal(1, checkout.Calls);
        await checkout.WebVmAsync("vmm", "0");
        Assert.Equal(1, checkout.Calls);
        File.Delete(source);
        await checkout.WebVmAsync("vmm", "0");
        Assert.Equal(2, checkout.Calls);
    }
}
