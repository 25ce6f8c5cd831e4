using Xunit;

namespace WebVm.Web.Tests;

/// <summary>Tests with a running Linux: one is booted for all of them.</summary>
public abstract class LinuxTests(Site site) : IAsyncLifetime
{
    protected Site Site { get; } = site;

    protected BootedMachine Machine { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Machine = await Site.LinuxAsync();

    public ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        return ValueTask.CompletedTask;
    }
}
