using System.Net.Http.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace WebVm.Benchmarks.Service;

/// <summary>A real service with its private PostgreSQL, for one benchmark, and the requests that benchmarks make of it.</summary>
internal sealed partial class BenchService : IAsyncDisposable
{
    private readonly ServiceProcess _process;

    private BenchService(ServiceProcess process) => _process = process;

    public HttpClient Client => _process.Client;

    public int ProcessId => _process.ProcessId;

    public Uri Address => _process.Address;

    /// <summary>Run directories and everything else that the service keeps.</summary>
    public string Data => _process.Data;

    public string SignInLink => Link().Match(_process.Output).Value;

    public static async Task<BenchService> StartAsync()
    {
        if (!Directory.Exists(Path.Combine(Guests.Catalogue, "tiny")))
        {
            throw new InvalidOperationException("The image 'tiny' is missing; run: ./webvm image build tiny");
        }

        return new(await ServiceProcess.StartAsync(settings: Guests.Settings()));
    }

    public async Task<string> CreateAsync(object settings) => (string)(await SendAsync(HttpMethod.Post, "/api/v1/vms", settings))!["id"]!;

    /// <summary>Returns when the machine is where it was sent.</summary>
    public async Task PowerAsync(string vm, string action)
    {
        var operation = await SendAsync(HttpMethod.Put, $"/api/v1/vms/{vm}/power?wait=60", new { action });
        if ((string?)operation!["state"] is not ("succeeded" or null))
        {
            throw new InvalidOperationException($"Power {action} did not succeed: {operation}");
        }
    }

    public async Task<JsonNode?> SendAsync(HttpMethod method, string path, object? body = null)
    {
        using var request = new HttpRequestMessage(method, path) { Content = body is null ? null : JsonContent.Create(body) };
        using var response = await Client.SendAsync(request);
        string answer = await response.Content.ReadAsStringAsync();
        return response.IsSuccessStatusCode
            ? answer.Length == 0 ? null : JsonNode.Parse(answer)
            : throw new InvalidOperationException($"{method} {path} was answered with {(int)response.StatusCode}: {answer}");
    }

    /// <summary>Returns the image's name.</summary>
    public async Task<string> UploadKernelAsync(string name, byte[] content)
    {
        var image = await SendAsync(HttpMethod.Post, "/api/v1/images", new { name, kind = "kernel", bytes = content.Length });
        using var request = new HttpRequestMessage(
            HttpMethod.Patch, $"/api/v1/images/{image!["id"]}/content?wait=30") { Content = new ByteArrayContent(content) };
        request.Headers.Add("Upload-Offset", "0");
        using var answer = await Client.SendAsync(request);
        answer.EnsureSuccessStatusCode();
        return name;
    }

    /// <summary>Process ids of the monitors, without their keepers.</summary>
    public int[] Monitors() => _process.Monitors();

    public ValueTask DisposeAsync() => _process.DisposeAsync();

    [GeneratedRegex(@"http\S+/sign-in/link\?code=\S+")]
    private static partial Regex Link();
}
