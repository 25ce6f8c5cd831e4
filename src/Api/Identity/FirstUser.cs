using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Identity;

/// <summary>Makes sure that there is an administrator to sign in as: "admin", without a password, reached by the one-time link.</summary>
internal sealed class FirstUser(IDbContextFactory<WebVmDbContext> databases) : IHostedService
{
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        await using var database = await databases.CreateDbContextAsync(cancellationToken);
        if (!await database.Users.AnyAsync(user => user.Role == Role.Admin && !user.Disabled, cancellationToken))
        {
            string name = await database.Users.AnyAsync(user => user.Name == "admin", cancellationToken)
                ? $"admin-{Guid.NewGuid():N}"[..14]
                : "admin";
            database.Users.Add(new User { Name = name, Role = Role.Admin });
            await database.SaveChangesAsync(cancellationToken);
        }
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
