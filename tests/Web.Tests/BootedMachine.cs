using System.Diagnostics;
using WebVm.Api.Tests;
using Xunit;

namespace WebVm.Web.Tests;

/// <summary>A machine that runs the tiny Linux: a shell on its screen, another on its serial port.</summary>
public sealed class BootedMachine(Site site) : IAsyncLifetime
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(4);
    private static readonly TimeSpan Recheck = TimeSpan.FromMilliseconds(200);

    public string Id { get; private set; } = "";

    public string Name { get; } = Rest.NewName("linux");

    public async ValueTask InitializeAsync()
    {
        var vm = await site.Api.CreateVmAsync(new { name = Name, memory = 256L << 20, engine = "soft" });
        Id = (string)vm["id"]!;
        await site.Api.SendAsync(HttpMethod.Put, $"/api/v1/vms/{Id}/power?wait=60", new { action = "on" });
        await UntilSerialAsync(text => text.Contains("ready on /dev/ttyS0", StringComparison.Ordinal));
    }

    public async ValueTask DisposeAsync() => await site.Api.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{Id}?force=true&wait=60");

    /// <summary>All that the guest has printed on its serial port.</summary>
    public Task<string> SerialAsync() => site.Api.GetStringAsync($"/api/v1/vms/{Id}/serial", Rest.Cancellation);

    public async Task<string> UntilSerialAsync(Func<string, bool> there)
    {
        long began = Stopwatch.GetTimestamp();
        while (true)
        {
            string text = await SerialAsync();
            if (there(text))
            {
                return text;
            }

            Assert.True(Stopwatch.GetElapsedTime(began) < Patience, $"The guest did not print what was waited for. It printed:\n{text}");
            await Task.Delay(Recheck, Rest.Cancellation);
        }
    }
}
