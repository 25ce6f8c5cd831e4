using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace WebVm.Api.Support;

/// <summary>What whoever helps wants to see.</summary>
internal static class SupportModule
{
    public static void AddSupport(this IServiceCollection services)
    {
        services.AddSingleton<RecentLog>();
        services.AddSingleton<ILoggerProvider>(provider => provider.GetRequiredService<RecentLog>());
        services.AddSingleton<SupportBundle>();
    }
}
