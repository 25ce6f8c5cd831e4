using System.Net;
using System.Text.Json;
using Microsoft.AspNetCore.Components.Authorization;
using WebVm.Api.Conventions;

namespace WebVm.Web.InProcess;

/// <summary>The REST API as the pages use it, in the name of the person signed in.</summary>
public sealed class ApiClient(InProcessPipeline pipeline, AuthenticationStateProvider authentication)
{
    private static readonly IReadOnlyDictionary<string, string> NoHeaders = new Dictionary<string, string>();

    // Answers may have members that an older page does not know.
    private static readonly JsonSerializerOptions Reading = new(
        ApiJson.Options) { UnmappedMemberHandling = System.Text.Json.Serialization.JsonUnmappedMemberHandling.Skip };

    /// <summary>The viewer's address, as the page's request told it.</summary>
    public IPAddress? Address { get; set; }

    public Task<ApiAnswer<T>> GetAsync<T>(string path, CancellationToken cancellation = default) =>
        SendAsync<T>(HttpMethods.Get, path, null, null, cancellation);

    public Task<ApiAnswer<T>> PostAsync<T>(string path, object body) => SendAsync<T>(HttpMethods.Post, path, body, null, default);

    public Task<ApiAnswer<T>> PutAsync<T>(string path, object body) => SendAsync<T>(HttpMethods.Put, path, body, null, default);

    public Task<ApiAnswer<T>> PatchAsync<T>(string path, object body, string? ifMatch) =>
        SendAsync<T>(HttpMethods.Patch, path, body, ifMatch, default);

    public Task<ApiAnswer<T>> DeleteAsync<T>(string path) => SendAsync<T>(HttpMethods.Delete, path, null, null, default);

    private async Task<ApiAnswer<T>> SendAsync<T>(string method, string path, object? body, string? ifMatch, CancellationToken cancellation)
    {
        var state = await authentication.GetAuthenticationStateAsync();
        var request = new InProcessRequest(
            state.User,
            method,
            path,
            body is null ? null : JsonSerializer.SerializeToUtf8Bytes(body, ApiJson.Options),
            "application/json",
            ifMatch is null ? NoHeaders : new Dictionary<string, string> { ["If-Match"] = ifMatch },
            Address);
        var response = await pipeline.SendAsync(request, cancellation);
        return response.Status is >= 200 and < 300
            ? new(response.Status, response.Body.Length == 0
                ? default
                : JsonSerializer.Deserialize<T>(response.Body, Reading), response.ETag, null)
            : new(response.Status, default, null, ReadProblem(response));
    }

    private static ApiProblem ReadProblem(InProcessResponse response)
    {
        try
        {
            var body = JsonSerializer.Deserialize<ProblemBody>(response.Body, Reading);
            return new(response.Status, body?.Title ?? "", body?.Detail ?? "", body?.Errors ?? []);
        }
        catch (JsonException)
        {
            return new(response.Status, ((HttpStatusCode)response.Status).ToString(), $"The service answered {response.Status}.", []);
        }
    }

    private sealed record ProblemBody(string? Title = null, string? Detail = null, IReadOnlyList<FieldFault>? Errors = null);
}
