using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Hosting;
using WebVm.Api.Identity;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Web;

/// <summary>
/// Tells whoever started the service where it is and, while no administrator has a password, how to get in: what is printed is kept in logs
/// that others may read.
/// </summary>
internal sealed class Greeting(
    IServer server, SignInLinks links, IDbContextFactory<WebVmDbContext> databases, IHostApplicationLifetime lifetime) : IHostedService
{
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await using var database = await databases.CreateDbContextAsync(cancellationToken);
        bool hasWayIn = await database.Users.AnyAsync(
            user => user.Role == Role.Admin && !user.Disabled && user.PasswordHash != null, cancellationToken);
        lifetime.ApplicationStarted.Register(() =>
        {
            string address = server.Features.Get<IServerAddressesFeature>()?.Addresses.FirstOrDefault() ?? "";
            Console.WriteLine($"WebVm is at {address}");
            Console.WriteLine(hasWayIn
                ? "Sign in with your password; who has lost it gets a link by `webvm --sign-in-link`, or `./webvm sign-in-link`"
                : $"Sign in, once, within the hour: {Link(LocalAddress.Of(address), links.Create())}");
        });
    }

    public static string Link(string address, string code) => $"{address.TrimEnd('/')}{SessionEndpoints.LinkPath}?code={code}";

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
