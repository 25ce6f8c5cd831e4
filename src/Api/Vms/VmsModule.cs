using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using WebVm.Api.Operations;

namespace WebVm.Api.Vms;

/// <summary>Virtual machines as resources.</summary>
internal static class VmsModule
{
    public static void AddVms(this IServiceCollection services)
    {
        services.AddScoped<VmCommands>();
        services.AddSingleton<IOperationHandler, PowerTransition>();
        services.AddSingleton<IOperationHandler, VmDeletion>();
    }

    public static void MapMachines(this IEndpointRouteBuilder api)
    {
        api.MapVms();
        api.MapPower();
        api.MapEnlightenments();
        api.MapCrashes();
    }
}
