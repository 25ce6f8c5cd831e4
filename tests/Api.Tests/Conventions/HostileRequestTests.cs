using System.Net;
using Xunit;

namespace WebVm.Api.Tests.Conventions;

/// <summary>Requests that no good client makes, and good ones all at once.</summary>
public sealed class HostileRequestTests(SharedService shared)
{
    [Theory]
    [InlineData("POST", "/vms", """{"name":"hostile","description":"\u0000"}""", "U+0000")]
    [InlineData("POST", "/vms", """{"name":"hostile","labels":{"a":"\u0000"}}""", "U+0000")]
    [InlineData("GET", "/vms?q=%00", null, "U+0000")]
    [InlineData("GET", "/vms?label=a=%00", null, "U+0000")]
    [InlineData("GET", "/vms?cursor=bmFtZQoA", null, "U+0000")]
    [InlineData("GET", "/audit?actor=%00", null, "U+0000")]
    [InlineData("POST", "/vms", "null", "The request needs a body.")]
    public async Task What_cannot_be_read_is_refused_in_words_that_a_client_knows(string method, string path, string? body, string words)
    {
        var (status, problem, _) = await shared.Client.SendAsync(new HttpMethod(method), "/api/v1" + path, body);
        Assert.Equal(HttpStatusCode.BadRequest, status);
        Assert.Contains(words, (string)problem!["detail"]!, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("GET /health/live HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "200")]
    [InlineData("GET /health/live HTTP/1.1\nHost: h\r\nConnection: close\r\n\r\n", "400")]
    [InlineData("GET /health/live HTTP/1.1\r\nHost: h\nConnection: close\r\n\r\n", "400")]
    [InlineData("GET /health/live HTTP/1.1\r\nHost: h\r\nConnection: close\n\n", "400")]
    [InlineData("GET /health/live HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\n", "400")]
    [InlineData("POST /api/v1/session HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: "
        + "chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
        "400")]
    public async Task A_line_of_HTTP_that_ends_without_a_carriage_return_is_refused(string request, string status)
    {
        using var connection = new System.Net.Sockets.TcpClient();
        await connection.ConnectAsync(shared.Service.Address.Host, shared.Service.Address.Port, Rest.Cancellation);
        var stream = connection.GetStream();
        await stream.WriteAsync(System.Text.Encoding.ASCII.GetBytes(request), Rest.Cancellation);
        using var reader = new StreamReader(stream);
        Assert.StartsWith($"HTTP/1.1 {status} ", await reader.ReadLineAsync(Rest.Cancellation), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Fields_that_are_given_twice_are_refused()
    {
        var vm = await shared.Client.CreateVmAsync(new { name = Rest.NewName("twice") });
        foreach (var (method, path, body) in ((HttpMethod, string, string)[])[
            (HttpMethod.Post, "/api/v1/vms", """{"name":"a1","name":"a2"}"""),
            (HttpMethod.Post, "/api/v1/vms", """{"name":"a1","Name":"a2"}"""),
            (HttpMethod.Post, "/api/v1/vms", """{"name":"a1","labels":{"x":"1","x":"2"}}"""),
            (HttpMethod.Patch, $"/api/v1/vms/{vm["id"]}", """{"description":"a","description":"b"}"""),
            (HttpMethod.Patch, $"/api/v1/vms/{vm["id"]}", """{"boot":{"commandLine":"a","commandLine":"b"}}""")])
        {
            var (status, problem, _) = await shared.Client.SendAsync(method, path, body);
            Assert.Equal(HttpStatusCode.UnprocessableEntity, status);
            Assert.Contains("is given twice", (string)problem!["errors"]![0]!["message"]!, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Only_who_asks_for_it_is_refused_because_another_changed_the_VM()
    {
        var vm = await shared.Client.CreateVmAsync(new { name = Rest.NewName("patched") });
        string path = $"/api/v1/vms/{vm["id"]}";
        var answers = await Task.WhenAll(Enumerable.Range(0, 16).Select(i =>
            shared.Client.SendAsync(HttpMethod.Patch, path, new { labels = new Dictionary<string, string> { [$"l{i}"] = "x" } })));
        Assert.All(answers, answer => Assert.Equal(HttpStatusCode.OK, answer.Status));
        var (_, now, headers) = await shared.Client.SendAsync(HttpMethod.Get, path);
        Assert.Equal(16, now!["labels"]!.AsObject().Count);
        var conditional = await Task.WhenAll(Enumerable.Range(0, 8).Select(i =>
            shared.Client.SendAsync(HttpMethod.Patch, path, $$"""{"description":"{{i}}"}""", ("If-Match", headers.ETag!.ToString()))));
        Assert.Single(conditional, answer => answer.Status == HttpStatusCode.OK);
        Assert.Equal(7, conditional.Count(answer => answer.Status == HttpStatusCode.PreconditionFailed));
    }

    [Fact]
    public async Task A_VM_that_is_deleted_while_others_work_on_it_leaves_nothing()
    {
        var vm = await shared.Client.CreateVmAsync(new { name = Rest.NewName("doomed") });
        string path = $"/api/v1/vms/{vm["id"]}";
        var work = Enumerable.Range(0, 10).SelectMany(i => (Task<HttpStatusCode>[])[
            StatusAsync(HttpMethod.Delete, path + "?force=true", null),
            StatusAsync(HttpMethod.Patch, path, new { description = $"{i}" }),
            StatusAsync(HttpMethod.Get, path + "/serial", null),
            StatusAsync(HttpMethod.Put, path + "/power", new { action = "off" })]).ToArray();
        foreach (var status in await Task.WhenAll(work))
        {
            Assert.True(
                status is HttpStatusCode.OK or HttpStatusCode.Accepted or HttpStatusCode.NotFound or HttpStatusCode.Conflict
                    or HttpStatusCode.TooManyRequests,
                $"{status}");
        }

        string folder = Path.Combine(shared.Service.Data, "vms", Guid.Parse((string)vm["id"]!).ToString("N"));
        await RunningMachine.EventuallyAsync(
            shared.Service, async () => await StatusAsync(HttpMethod.Get, path, null) == HttpStatusCode.NotFound
                && !Directory.Exists(folder));
    }

    private async Task<HttpStatusCode> StatusAsync(HttpMethod method, string path, object? body) =>
        (await shared.Client.SendAsync(method, path, body)).Status;
}
