using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json.Nodes;
using Xunit;

namespace WebVm.Kit.Service;

/// <summary>Requests as a REST client makes them.</summary>
internal static class Rest
{
    /// <summary>Only what hangs takes longer, on however busy a host.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    private static int s_names;

    public static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>A resource name that no other test has.</summary>
    public static string NewName(string prefix = "t") => $"{prefix}-{Environment.ProcessId}-{Interlocked.Increment(ref s_names)}";

    public static async Task<(HttpStatusCode Status, JsonNode? Body, HttpResponseHeaders Headers)> SendAsync(
        this HttpClient client, HttpMethod method, string path, object? body = null, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(method, path);
        if (body is not null)
        {
            request.Content = body is string text ? new StringContent(text, Encoding.UTF8, "application/json") : JsonContent.Create(body);
        }

        foreach (var (name, value) in headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        using var response = await client.SendAsync(request, Cancellation);
        string answer = await response.Content.ReadAsStringAsync(Cancellation);
        bool json = response.Content.Headers.ContentType?.MediaType?.EndsWith("json", StringComparison.Ordinal) == true;
        return (response.StatusCode, json && answer.Length > 0 ? JsonNode.Parse(answer) : null, response.Headers);
    }

    /// <summary>Waits for an operation's end, however long it takes: how long anything may take is not what tests are about.</summary>
    /// <returns>The operation that has ended.</returns>
    public static async Task<JsonNode> EndAsync(this HttpClient client, JsonNode operation)
    {
        long start = Stopwatch.GetTimestamp();
        while ((string?)operation["state"] is "pending" or "running")
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < Patience, $"The operation does not end: {operation.ToJsonString()}");
            var (status, body, _) = await client.SendAsync(HttpMethod.Get, $"/api/v1/operations/{operation["id"]}?wait=30");
            Assert.Equal(HttpStatusCode.OK, status);
            operation = body!;
        }

        return operation;
    }

    /// <summary>
    /// A client, authenticated with every right, that sends bodies only when the service asks for them (RFC 9110 §10.1.1).
    /// </summary>
    public static HttpClient AskingClient(ServiceProcess service)
    {
        var client = new HttpClient(
            new SocketsHttpHandler { Expect100ContinueTimeout = TimeSpan.FromMinutes(1) }) { BaseAddress = service.Address };
        client.DefaultRequestHeaders.Authorization = service.Client.DefaultRequestHeaders.Authorization;
        client.DefaultRequestHeaders.ExpectContinue = true;
        return client;
    }

    /// <summary>The pointers of a validation problem, in order.</summary>
    public static string[] Pointers(JsonNode? problem) => [.. problem!["errors"]!.AsArray().Select(error => (string)error!["pointer"]!)];

    public static async Task<JsonNode> CreateVmAsync(this HttpClient client, object settings)
    {
        var (status, body, _) = await client.SendAsync(HttpMethod.Post, "/api/v1/vms", settings);
        Assert.Equal(HttpStatusCode.Created, status);
        return body!;
    }
}
