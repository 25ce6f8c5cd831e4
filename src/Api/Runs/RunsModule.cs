using Microsoft.Extensions.DependencyInjection;

namespace WebVm.Api.Runs;

/// <summary>Machines' runs: what is desired becomes what is.</summary>
internal static class RunsModule
{
    public static void AddRuns(this IServiceCollection services)
    {
        services.AddSingleton<VmFiles>();
        services.AddHostedService<OlderFolders>();
        services.AddSingleton<SpecWriter>();
        services.AddSingleton<MonitorIsolation>();
        services.AddHostedService(provider => provider.GetRequiredService<MonitorIsolation>());
        services.AddSingleton<MonitorUsers>();
        services.AddSingleton<ControlGroups>();
        services.AddSingleton<MonitorLauncher>();
        services.AddSingleton<MemoryBudget>();
        services.AddSingleton<VmAgentServices>();
        services.AddSingleton<VmWaiter>();
        services.AddSingleton<VmSupervisor>();
        services.AddHostedService(provider => provider.GetRequiredService<VmSupervisor>());
        services.AddHostedService<RestingVms>();
        services.AddHostedService<AbandonedRuns>();
    }
}
