using Microsoft.AspNetCore.SignalR;
using Microsoft.Extensions.Logging;

namespace WebVm.Api.Console;

/// <summary>
/// Writes down what fails in hubs, in place of SignalR, which gives a stack to every <see cref="HubException"/> too: what a caller is
/// refused is for the caller alone.
/// </summary>
internal sealed partial class HubFailures(ILogger<HubFailures> log) : IHubFilter
{
    /// <summary>What SignalR would say it as.</summary>
    public const string Replaced = "Microsoft.AspNetCore.SignalR.Internal.DefaultHubDispatcher";

    public async ValueTask<object?> InvokeMethodAsync(
        HubInvocationContext invocationContext, Func<HubInvocationContext, ValueTask<object?>> next)
    {
        try
        {
            return await next(invocationContext);
        }
        catch (Exception failure) when (IsOurs(failure))
        {
            LogFailed(log, failure, invocationContext.HubMethodName);
            throw;
        }
    }

    public async Task OnDisconnectedAsync(HubLifetimeContext context, Exception? exception, Func<HubLifetimeContext, Exception?, Task> next)
    {
        try
        {
            await next(context, exception);
        }
        catch (Exception failure) when (IsOurs(failure))
        {
            LogFailed(log, failure, nameof(Hub.OnDisconnectedAsync));
            throw;
        }
    }

    private static bool IsOurs(Exception failure) => failure is not HubException and not OperationCanceledException;

    [LoggerMessage(Level = LogLevel.Error, Message = "The hub's {Method} failed")]
    private static partial void LogFailed(ILogger log, Exception failure, string method);
}
