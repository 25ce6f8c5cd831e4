using WebVm.Api.Hosting;
using Xunit;

namespace WebVm.Api.Tests.Hosting;

/// <summary>The sign-in link and the health check of a service that listens on every address, as in a container.</summary>
public sealed class LocalAddressTests
{
    [Theory]
    [InlineData("http://0.0.0.0:8080", "http://127.0.0.1:8080")]
    [InlineData("https://0.0.0.0/", "https://127.0.0.1/")]
    [InlineData("http://[::]:8080", "http://127.0.0.1:8080")]
    [InlineData("http://*:8080", "http://127.0.0.1:8080")]
    [InlineData("http://+", "http://127.0.0.1")]
    [InlineData("http://10.0.0.0:8080", "http://10.0.0.0:8080")]
    [InlineData("http://0.0.0.0.example:80", "http://0.0.0.0.example:80")]
    [InlineData("http://[::1]:8080", "http://[::1]:8080")]
    [InlineData("http://[::ffff:0.0.0.0]:8080", "http://127.0.0.1:8080")]
    [InlineData("http://[0:0:0:0:0:0:0:0]/", "http://127.0.0.1/")]
    [InlineData("http://+:80", "http://127.0.0.1:80")]
    [InlineData("nonsense", "nonsense")]
    public void A_wildcard_becomes_loopback(string address, string local) => Assert.Equal(local, LocalAddress.Of(address));
}
