using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace WebVm.Api.Hosting;

/// <summary>Tells the service's owner of secrets that stood in its environment.</summary>
internal sealed partial class SecretHint(SecretHint.Found found, ILogger<SecretHint> log) : IHostedService
{
    public Task StartAsync(CancellationToken cancellationToken)
    {
        foreach (string name in found.Names)
        {
            LogHint(log, name);
        }

        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    [LoggerMessage(Level = LogLevel.Information,
        Message = "{Name} stands in the service's environment; {Name}_FILE names a file to keep it in instead")]
    private static partial void LogHint(ILogger log, string name);

    /// <param name="Names">Variables.</param>
    internal sealed record Found(IReadOnlyList<string> Names);
}
