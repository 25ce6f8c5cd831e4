using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using WebVm.Api.Hosting;
using WebVm.Api.Identity;

namespace WebVm.Web;

/// <summary>Tells whoever started the service where it is and how to get in.</summary>
internal sealed class Greeting(IServer server, SignInLinks links, IHostApplicationLifetime lifetime) : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken)
    {
        lifetime.ApplicationStarted.Register(() =>
        {
            string address = server.Features.Get<IServerAddressesFeature>()?.Addresses.FirstOrDefault() ?? "";
            Console.WriteLine($"WebVm is at {address}");
            Console.WriteLine($"Sign in, once, within the hour: {Link(LocalAddress.Of(address), links.Create())}");
        });
        return Task.CompletedTask;
    }

    public static string Link(string address, string code) => $"{address.TrimEnd('/')}{SessionEndpoints.LinkPath}?code={code}";

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
