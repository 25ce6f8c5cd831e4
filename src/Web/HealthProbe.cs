using WebVm.Api.Hosting;

namespace WebVm.Web;

/// <summary>
/// <c>webvm --health</c>: asks the service on this machine whether it is ready; for container health checks, which have no curl.
/// </summary>
internal static class HealthProbe
{
    public const string Switch = "--health";

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(4);

    public static async Task<int> RunAsync()
    {
        string listen = Environment.GetEnvironmentVariable("WEBVM_LISTEN") ?? "http://127.0.0.1:8080";
        string address = LocalAddress.Of(listen.Split(';')[0].Trim());
        // The certificate names the host as others know it, not its loopback address; nothing secret is sent.
        using var handler = new HttpClientHandler
        {
            ServerCertificateCustomValidationCallback = HttpClientHandler.DangerousAcceptAnyServerCertificateValidator,
        };
        using var client = new HttpClient(handler) { Timeout = Patience };
        try
        {
            using var answer = await client.GetAsync(new Uri(new Uri(address), "/health/ready"));
            return answer.IsSuccessStatusCode ? 0 : 1;
        }
        catch (Exception failure) when (failure is HttpRequestException or TaskCanceledException)
        {
            await Console.Error.WriteLineAsync($"webvm: {address} does not answer: {failure.Message}");
            return 1;
        }
    }
}
