using Microsoft.Extensions.DependencyInjection;

namespace WebVm.Api.Operations;

/// <summary>Work that takes longer than a moment. What is worked on adds its handlers (<see cref="IOperationHandler"/>).</summary>
internal static class OperationsModule
{
    public static void AddOperations(this IServiceCollection services)
    {
        services.AddSingleton<OperationRunner>();
        services.AddHostedService(provider => provider.GetRequiredService<OperationRunner>());
    }
}
