using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.SignalR;
using Microsoft.AspNetCore.SignalR.Protocol;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace WebVm.Api.Console;

/// <summary>Screens, keyboards and serial lines of machines.</summary>
internal static class ConsoleModule
{
    public static void AddConsole(this IServiceCollection services)
    {
        services.AddSingleton<ConsoleRooms>();
        services.AddSingleton<SerialAttention>();
        services.AddSignalR(signalR =>
        {
            signalR.MaximumReceiveMessageSize = 256 * 1024;
            signalR.EnableDetailedErrors = false;
        }).AddHubOptions<ConsoleHub>(console =>
        {
            console.SupportedProtocols = [ConsoleProtocol.ProtocolName];
            console.AddFilter<HubFailures>();
        });
        services.AddSingleton<HubFailures>();
        services.AddLogging(logging => logging.AddFilter(HubFailures.Replaced, LogLevel.None));
        services.AddSingleton<IHubProtocol, ConsoleProtocol>();
        services.AddSingleton<HubConnections<ConsoleHub>>();
        services.AddSingleton<HubLifetimeManager<ConsoleHub>>(provider => provider.GetRequiredService<HubConnections<ConsoleHub>>());
    }

    public static void MapConsoles(this IEndpointRouteBuilder api)
    {
        api.MapSerial();
        api.MapConsole();
    }

    public static void MapConsoleHub(this IEndpointRouteBuilder root) => root.MapHub<ConsoleHub>(ConsoleEndpoints.HubPath);
}
