using Xunit;

[assembly: WebVm.Kit.Service.ServiceReport]
[assembly: AssemblyFixture(typeof(WebVm.Api.Tests.SharedService))]

namespace WebVm.Api.Tests;

/// <summary>One service for all tests that can live side by side: each makes resources of its own.</summary>
public sealed class SharedService : IAsyncLifetime
{
    public ServiceProcess Service { get; private set; } = null!;

    public HttpClient Client => Service.Client;

    public async ValueTask InitializeAsync()
    {
        Service = await ServiceProcess.StartAsync(settings: new(Guests.Settings()) { ["WEBVM_IMPORT_FROM_PRIVATE_NETWORKS"] = "true" });
        ServiceReport.Share(Service);
    }

    public ValueTask DisposeAsync() => Service.DisposeAsync();
}
