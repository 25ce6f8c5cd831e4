using System.Diagnostics;
using System.Reflection;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using WebVm.Api.Conventions;
using Xunit;

namespace WebVm.Api.Tests.Conventions;

/// <summary>The API's description, as a client's generator and a linter read it.</summary>
public sealed class DescriptionTests(SharedService shared)
{
    private static readonly JsonSerializerOptions s_readable =
        new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private static string Folder =>
        typeof(DescriptionTests).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(entry => entry.Key == "Folder").Value!;

    private static string Committed => Path.Combine(Folder, "../../docs/openapi-v1.json");

    [Fact]
    public async Task Redoclys_recommended_rules_are_kept()
    {
        string file = Path.Combine(Directory.CreateTempSubdirectory("webvm-openapi-").FullName, "v1.json");
        await File.WriteAllTextAsync(file, (await DescribedEndpoint.DocumentAsync(shared.Client)).ToJsonString(), Rest.Cancellation);
        var (exit, output) = await LintAsync(file);
        Assert.True(exit == 0 && !output.Contains("warning", StringComparison.Ordinal), output);
        // The linter is one that sees.
        await File.WriteAllTextAsync(
            file, """{"openapi":"3.1.0","info":{"title":"x","version":"1"},"paths":{"/x":{"get":{"responses":{"200":{"description":"x"}}}}}}""",
            Rest.Cancellation);
        (exit, output) = await LintAsync(file);
        Assert.Equal(1, exit);
        Assert.Contains("security-defined", output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Every_endpoint_has_a_name_and_says_who_may_use_it_and_what_can_go_wrong()
    {
        var endpoints = await DescribedEndpoint.AllAsync(shared.Client);
        Assert.Equal(
            endpoints.Count, endpoints.Select(endpoint => (string)endpoint.Description["operationId"]!).Distinct(StringComparer.Ordinal)
                .Count());
        foreach (var endpoint in endpoints)
        {
            Assert.NotNull(endpoint.Description["security"]);
            Assert.All(
                endpoint.Parameters, parameter => Assert.True(
                    (string)parameter["in"]! == "path" || !string.IsNullOrEmpty((string?)parameter["description"])
                        || parameter["schema"]!["enum"] is not null || parameter["schema"]!["items"] is not null,
                    $"{endpoint.Name}: {parameter["name"]}"));
            string[] expected = ["401", "403", "429", "500", "503", .. endpoint.BodyType is null
                ? Array.Empty<string>()
                : ["400", "413", "415", "422"], .. endpoint.Template.Contains('{', StringComparison.Ordinal)
                    ? ["404"]
                    : Array.Empty<string>(),
                .. endpoint.Has("If-Match") ? ["412"] : Array.Empty<string>()];
            Assert.True(expected.All(endpoint.Statuses.Contains), $"{endpoint.Name}: {string.Join(' ', endpoint.Statuses)}");
            foreach (var (status, response) in endpoint.Description["responses"]!.AsObject()
                .Where(response => response.Key[0] is '4' or '5'))
            {
                Assert.Equal(
                    "#/components/schemas/ProblemDetails", (string)response!["content"]!["application/problem+json"]!["schema"]!["$ref"]!);
                Assert.True(status is not ("429" or "503") || response["headers"]!["Retry-After"] is not null, endpoint.Name);
                Assert.True(status is not "401" || response["headers"]!["WWW-Authenticate"] is not null, endpoint.Name);
            }
        }
    }

    [Theory]
    [InlineData("VmSettings")]
    [InlineData("VmView")]
    [InlineData("VmSettingsPatch")]
    public async Task Every_setting_of_a_VM_says_when_a_change_is_taken_up(string schema)
    {
        var document = await DescribedEndpoint.DocumentAsync(shared.Client);
        var settings = document["components"]!["schemas"]!["VmSettings"]!["properties"]!.AsObject().Select(property => property.Key)
            .ToList();
        Assert.True(settings.Count > 12);
        foreach (var (name, property) in document["components"]!["schemas"]![schema]!["properties"]!.AsObject())
        {
            Assert.True(
                settings.Contains(name)
                    ? ((string?)property!["description"])?.Contains("taken up at once", StringComparison.Ordinal) == true
                        || ((string?)property["description"])?.Contains("at its next start", StringComparison.Ordinal) == true
                    : (bool?)property!["readOnly"] == true,
                $"{name}: {property!.ToJsonString()}");
        }
    }

    [Fact]
    public async Task The_errors_are_a_closed_list_that_is_documented()
    {
        var document = await DescribedEndpoint.DocumentAsync(shared.Client);
        string[] described = [.. document["components"]!["schemas"]!["ProblemDetails"]!["properties"]!["type"]!["enum"]!.AsArray()
            .Select(type => (string)type!)];
        Assert.Equal(ProblemTypes.All.Select(type => type.Uri), described);
        Assert.Equal(
            ProblemTypes.All.Count, typeof(ProblemTypes).GetProperties().Count(property => property.PropertyType == typeof(ProblemType)));
        string page = await File.ReadAllTextAsync(Path.Combine(Folder, "../../docs/rest.md"), Rest.Cancellation);
        Assert.All(
            ProblemTypes.All, type => Assert.Contains(
                $"| `{type.Name}` | {type.Status} | {type.Meaning} |", page, StringComparison.Ordinal));
        Assert.Equal(
            ProblemTypes.All.Count, page.Split("\n| `").Count(row => row.Split('|') is [_, var status, ..] && int.TryParse(status, out _)));
    }

    [Fact]
    public async Task What_the_API_had_in_its_last_committed_description_it_has_still()
    {
        var committed = JsonNode.Parse(await File.ReadAllTextAsync(Committed, Rest.Cancellation))!;
        var now = await DescribedEndpoint.DocumentAsync(shared.Client);
        Assert.Empty(Growth.Breaks(committed, now));
        Assert.True(
            JsonNode.DeepEquals(committed, now),
            $"The API has grown or says something in other words: commit its description, which {nameof(Write_the_description)} (an explicit test) writes to docs/openapi-v1.json.");
    }

    [Fact(Explicit = true)]
    public async Task Write_the_description()
    {
        var now = await DescribedEndpoint.DocumentAsync(shared.Client);
        if (File.Exists(Committed))
        {
            Assert.Empty(Growth.Breaks(JsonNode.Parse(await File.ReadAllTextAsync(Committed, Rest.Cancellation))!, now));
        }

        await File.WriteAllTextAsync(Committed, now.ToJsonString(s_readable) + "\n", Rest.Cancellation);
    }

    [Theory]
    [InlineData("DELETE /api/v1/vms/{id} is gone", "paths", "/api/v1/vms/{id}", "delete")]
    [InlineData("GET /api/v1/vms parameter q is gone", "paths", "/api/v1/vms", "get", "parameters")]
    [InlineData("no longer answers 200 with application/json", "paths", "/api/v1/vms/{id}", "get", "responses", "200", "content")]
    [InlineData("/power/state is gone", "components", "schemas", "VmPowerView", "properties", "state")]
    [InlineData("body/cpus is gone", "components", "schemas", "VmSettings", "properties", "cpus")]
    public async Task What_is_taken_from_the_API_is_found(string found, params string[] path)
    {
        var before = await DescribedEndpoint.DocumentAsync(shared.Client);
        var after = before.DeepClone();
        var parent = path[..^1].Aggregate(after, (node, name) => node[name]!);
        parent.AsObject().Remove(path[^1]);
        Assert.Contains(Growth.Breaks(before, after), entry => entry.Contains(found, StringComparison.Ordinal));
    }

    [Fact]
    public async Task What_clients_would_have_to_send_is_found()
    {
        var before = await DescribedEndpoint.DocumentAsync(shared.Client);
        var after = before.DeepClone();
        after["components"]!["schemas"]!["VmSettings"]!["required"] = new JsonArray("name", "cpus");
        Assert.Contains(Growth.Breaks(before, after), entry => entry.EndsWith("body wants cpus", StringComparison.Ordinal));
        Assert.DoesNotContain(Growth.Breaks(after, before), entry => entry.Contains("body", StringComparison.Ordinal));
    }

    private static async Task<(int Exit, string Output)> LintAsync(string file)
    {
        var start = new ProcessStartInfo(
            "node", ["node_modules/@redocly/cli/bin/cli.js", "lint", file, "--config", "redocly.yaml", "--format",
                "stylish"]) { WorkingDirectory = Folder,
                RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["REDOCLY_TELEMETRY"] = "off";
        start.Environment["REDOCLY_SUPPRESS_UPDATE_NOTICE"] = "true";
        using var linter = Process.Start(start)!;
        string[] output = await Task.WhenAll(
            linter.StandardOutput.ReadToEndAsync(Rest.Cancellation), linter.StandardError.ReadToEndAsync(Rest.Cancellation));
        await linter.WaitForExitAsync(Rest.Cancellation);
        return (linter.ExitCode, string.Concat(output));
    }
}
