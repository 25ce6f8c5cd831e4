using Microsoft.Extensions.DependencyInjection;
using WebVm.Api.Operations;
using WebVm.Api.Settings;

namespace WebVm.Api.Images;

/// <summary>What machines boot from.</summary>
internal static class ImagesModule
{
    public static void AddImages(this IServiceCollection services, ServiceOptions options)
    {
        services.AddHttpClient(ImageImport.ClientName, client => client.Timeout = Timeout.InfiniteTimeSpan)
            .ConfigurePrimaryHttpMessageHandler(
                () => ImportConnections.CreateHandler(options.ImportFromPrivateNetworks ? _ => true : ImportConnections.IsPublic));
        services.AddSingleton<ImageStore>();
        services.AddSingleton<ImageHashing>();
        services.AddSingleton<ImageVerification>();
        services.AddHostedService<Catalogue>();
        services.AddSingleton<IOperationHandler, ImageImport>();
        services.AddSingleton<IOperationHandler>(provider => provider.GetRequiredService<ImageVerification>());
    }
}
