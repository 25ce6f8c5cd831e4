using Microsoft.Extensions.DependencyInjection;

namespace WebVm.Api.Events;

/// <summary>What happened, as a stream.</summary>
internal static class EventsModule
{
    public static void AddEvents(this IServiceCollection services)
    {
        services.AddSingleton<EventFeed>();
        services.AddHostedService(provider => provider.GetRequiredService<EventFeed>());
    }
}
