using Microsoft.Extensions.DependencyInjection;

namespace WebVm.Api.Metrics;

/// <summary>What machines and the host use.</summary>
internal static class MetricsModule
{
    public static void AddMachineMetrics(this IServiceCollection services)
    {
        services.AddSingleton<MetricsSampler>();
        services.AddHostedService(provider => provider.GetRequiredService<MetricsSampler>());
    }
}
