using System.Net;
using Xunit;

namespace WebVm.Api.Tests.Conventions;

public sealed class PreconditionTests(SharedService shared)
{
    private HttpClient Client => shared.Client;

    [Fact]
    public async Task Every_answer_that_is_read_again_unchanged_is_not_sent_again()
    {
        var resources = await ResourcesAsync();
        int walked = 0;
        foreach (var endpoint in (await DescribedEndpoint.AllAsync(Client)).Where(
            endpoint => endpoint.Method == HttpMethod.Get && endpoint.Has("If-None-Match") && endpoint.Has("fields")))
        {
            if (resources.PathOf(endpoint) is not { } path || path.EndsWith("/hosts", StringComparison.Ordinal)
                || path.Contains("/hosts/", StringComparison.Ordinal) || path.EndsWith("/audit", StringComparison.Ordinal))
            {
                // A host's load is another each time, and requests of other tests add to the trail.
                continue;
            }

            var (status, _, headers) = await Client.SendAsync(HttpMethod.Get, path);
            if (status != HttpStatusCode.OK)
            {
                Assert.True(status == HttpStatusCode.Conflict, $"{path} answered {(int)status}.");
                continue;
            }

            string tag = headers.ETag!.Tag;
            foreach (string known in new[] { "*", tag, "W/" + tag, $"\"x\", {tag[..^1]}-gzip\"" })
            {
                var again = await Client.SendAsync(HttpMethod.Get, path, null, ("If-None-Match", known));
                // Lists of the shared service may have grown.
                Assert.True(
                    again.Status == HttpStatusCode.NotModified || again.Headers.ETag!.Tag != tag,
                    $"{path} answered {(int)again.Status} to {known}.");
            }

            Assert.Equal(HttpStatusCode.OK, (await Client.SendAsync(HttpMethod.Get, path, null, ("If-None-Match", "\"x\""))).Status);
            walked++;
        }

        Assert.True(walked > 12, $"Only {walked} were tried.");
    }

    [Fact]
    public async Task Every_change_of_what_has_an_e_tag_is_refused_for_one_that_is_old()
    {
        var resources = await ResourcesAsync();
        int walked = 0;
        foreach (var endpoint in (await DescribedEndpoint.AllAsync(Client)).Where(
            endpoint => !endpoint.Reads && endpoint.Template.Contains('{', StringComparison.Ordinal)))
        {
            if (!endpoint.Has("If-Match"))
            {
                // What is typed or shown belongs to the guest, an operation goes on by itself, and a session or a crash is over or not:
                // none has settings to compare.
                Assert.True(
                    endpoint.Template.Split('/')[3] is "operations" or "sessions"
                        || endpoint.Template.Split('/')[^1] is "keys" or "text" or "serial" or "console" or "last-crash",
                    endpoint.Name);
                continue;
            }

            string path = resources.PathOf(endpoint)!;
            var body = endpoint.BodyType is null ? null : Bodies(endpoint);
            foreach (var (header, value) in new[] { ("If-Match", "\"99.0123456789abcdef\""), ("If-Match", "W/\"99\""),
                ("If-None-Match", "*") })
            {
                (string, string)[] headers = [(header, value), .. endpoint.Has("Upload-Offset")
                    ? [("Upload-Offset", "0")]
                    : Array.Empty<(string, string)>()];
                var (status, problem, answer) = await Client.SendAsync(endpoint.Method, path, body, headers);
                Assert.True(status == HttpStatusCode.PreconditionFailed, $"{endpoint.Name} answered {(int)status} to {header}: {value}.");
                Assert.Equal("urn:webvm:problem:precondition-failed", (string)problem!["type"]!);
                Assert.NotNull(answer.ETag);
            }

            walked++;
        }

        Assert.True(walked > 10, $"Only {walked} were tried.");
    }

    [Fact]
    public async Task A_guest_that_starts_changes_what_is_shown_and_refuses_nobodys_change()
    {
        var vm = await Client.CreateVmAsync(IdleGuest.Settings(await IdleGuest.UploadAsync(Client), Rest.NewName("etag")));
        string path = $"/api/v1/vms/{vm["id"]}";
        string before = (await Client.SendAsync(HttpMethod.Get, path)).Headers.ETag!.Tag;
        Assert.Equal(
            "succeeded", (string)(await Client.SendAsync(
                HttpMethod.Put, path + "/power?wait=60", new { action = "on" }, ("If-Match", before))).Body!["state"]!);
        var (status, _, headers) = await Client.SendAsync(HttpMethod.Get, path, null, ("If-None-Match", before));
        Assert.Equal(HttpStatusCode.OK, status);
        Assert.NotEqual(before, headers.ETag!.Tag);
        Assert.Equal(
            HttpStatusCode.OK, (await Client.SendAsync(
                HttpMethod.Patch, path, new { description = "changed" }, ("If-Match", "W/" + before))).Status);
        Assert.Equal(
            HttpStatusCode.PreconditionFailed, (await Client.SendAsync(
                HttpMethod.Put, path + "/power", new { action = "off" }, ("If-Match", before))).Status);
        await Client.SendAsync(HttpMethod.Delete, path + "?force=true&wait=60");
    }

    [Fact]
    public async Task What_is_shown_of_few_fields_has_a_tag_of_its_own()
    {
        var vm = await Client.CreateVmAsync(new { name = Rest.NewName("etag") });
        string path = $"/api/v1/vms/{vm["id"]}";
        string whole = (await Client.SendAsync(HttpMethod.Get, path)).Headers.ETag!.Tag;
        var (_, some, headers) = await Client.SendAsync(HttpMethod.Get, path + "?fields=name,cpus");
        Assert.Equal(["name", "cpus"], some!.AsObject().Select(field => field.Key));
        Assert.NotEqual(whole, headers.ETag!.Tag);
        Assert.Equal(
            HttpStatusCode.OK, (await Client.SendAsync(HttpMethod.Get, path + "?fields=name,cpus", null, ("If-None-Match", whole))).Status);
        Assert.Equal(
            HttpStatusCode.OK, (await Client.SendAsync(
                HttpMethod.Patch, path, new { description = "x" }, ("If-Match", headers.ETag.Tag))).Status);
        Assert.Equal(
            HttpStatusCode.NotModified, (await Client.SendAsync(
                HttpMethod.Get, path + "?fields=name,cpus", null,
                ("If-None-Match", headers.ETag.Tag.Replace("1.", "2.", StringComparison.Ordinal)))).Status);
        var (status, problem, _) = await Client.SendAsync(HttpMethod.Get, path + "?fields=name,colour");
        Assert.Equal((HttpStatusCode.UnprocessableEntity, "?fields"), (status, Rest.Pointers(problem).Single()));
    }

    /// <summary>Bodies that would be carried out.</summary>
    private static object Bodies(DescribedEndpoint endpoint) => endpoint.Template.Split('/')[^1] switch
    {
        "power" => new { action = "off" },
        _ => new { name = Rest.NewName("body") },
    };

    /// <summary>One of each kind.</summary>
    private async Task<Resources> ResourcesAsync()
    {
        var vm = await Client.CreateVmAsync(IdleGuest.Settings(await IdleGuest.UploadAsync(Client), Rest.NewName("one")));
        var operation = (await Client.SendAsync(HttpMethod.Post, $"/api/v1/vms/{vm["id"]}/snapshots?wait=60", new { name = "one" })).Body!;
        var image =
            (await Client.SendAsync(HttpMethod.Post, "/api/v1/images", new { name = Rest.NewName("one"), kind = "iso", bytes = 10 })).Body!;
        var user =
            (await Client.SendAsync(
                HttpMethod.Post, "/api/v1/users", new { name = Rest.NewName(
                    "one"), role = "viewer", password = "correct horse battery" })).Body!;
        var token = (await Client.SendAsync(HttpMethod.Post, "/api/v1/tokens", new { name = Rest.NewName("one") })).Body!;
        return new(
            (string)vm["id"]!, (string)operation["result"]!["id"]!, (string)operation["id"]!, (string)image["id"]!, (string)user["id"]!,
            (string)token["id"]!);
    }

    private sealed record Resources(string Vm, string Snapshot, string Operation, string Image, string User, string Token)
    {
        /// <summary>Null for a kind that this test does not know.</summary>
        public string? PathOf(DescribedEndpoint endpoint) => endpoint.Template.Split('/')[3] switch
        {
            "vms" => endpoint.Concrete(Vm, Snapshot),
            "operations" => endpoint.Concrete(Operation, ""),
            "images" => endpoint.Concrete(Image, ""),
            "users" => endpoint.Concrete(User, ""),
            "tokens" => endpoint.Concrete(Token, ""),
            _ when endpoint.Template.Contains('{', StringComparison.Ordinal) => null,
            _ => endpoint.Template,
        };
    }
}
