using Xunit;

namespace WebVm.Api.Tests.Conventions;

/// <summary>What the API says of itself.</summary>
public sealed class OpenApiTests(SharedService shared)
{
    private static readonly string[] s_methods = ["get", "head", "post", "put", "patch", "delete"];

    [Fact]
    public async Task Every_endpoint_says_what_it_is_for_and_what_it_answers()
    {
        var (_, document, _) = await shared.Client.SendAsync(HttpMethod.Get, "/openapi/v1.json");
        List<string> faults = [];
        int walked = 0;
        foreach (var (path, methods) in document!["paths"]!.AsObject())
        {
            foreach (var (method, endpoint) in methods!.AsObject().Where(entry => s_methods.Contains(entry.Key)))
            {
                walked++;
                var responses = endpoint!["responses"]!.AsObject();
                var success = responses.Where(response => response.Key[0] == '2').ToList();
                if (string.IsNullOrEmpty((string?)endpoint["summary"]) || success.Count == 0
                    || success.Any(response => response.Key is not "204" && response.Value!["content"] is null)
                    || !responses.ContainsKey("401") || !responses.ContainsKey("403"))
                {
                    faults.Add($"{method} {path}: {string.Join(' ', responses.Select(response => response.Key))}");
                }
            }
        }

        Assert.True(faults.Count == 0, string.Join('\n', faults));
        Assert.True(walked > 40, $"Only {walked} endpoints were found.");
    }

    [Theory]
    [InlineData("put", "/api/v1/vms/{id}/power")]
    [InlineData("delete", "/api/v1/vms/{id}")]
    [InlineData("post", "/api/v1/vms/{id}/snapshots")]
    [InlineData("post", "/api/v1/vms/{id}/snapshots/{snapshot}/restore")]
    [InlineData("post", "/api/v1/images")]
    [InlineData("patch", "/api/v1/images/{id}/content")]
    public async Task Long_work_is_described_as_an_operation(string method, string path)
    {
        var (_, document, _) = await shared.Client.SendAsync(HttpMethod.Get, "/openapi/v1.json");
        var responses = document!["paths"]!.AsObject().Single(entry => entry.Key.TrimEnd('/') == path).Value![method]!["responses"]!;
        Assert.EndsWith(
            "/OperationView", (string)responses["202"]!["content"]!["application/json"]!["schema"]!["$ref"]!, StringComparison.Ordinal);
        Assert.All(["404", "409", "422", "429", "503"], status => Assert.NotNull(responses[status]));
    }
}
