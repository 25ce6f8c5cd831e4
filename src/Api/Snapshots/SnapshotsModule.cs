using Microsoft.Extensions.DependencyInjection;
using WebVm.Api.Operations;

namespace WebVm.Api.Snapshots;

/// <summary>Saved states of machines that can be returned to.</summary>
internal static class SnapshotsModule
{
    public static void AddSnapshots(this IServiceCollection services)
    {
        services.AddSingleton<IOperationHandler, SnapshotCreation>();
        services.AddSingleton<IOperationHandler, SnapshotRestoration>();
    }
}
