using System.IO.Compression;
using System.Net;
using Xunit;

namespace WebVm.Api.Tests.Hosting;

public sealed class CompressionTests(SharedService shared)
{
    [Theory]
    [InlineData("/openapi/v1.json", "gzip")]
    [InlineData("/openapi/v1.json", "br")]
    [InlineData("/js/app.js", "br")]
    [InlineData("/css/components.css", "gzip")]
    public async Task Text_is_compressed_for_who_takes_it(string path, string encoding)
    {
        byte[] plain = await shared.Client.GetByteArrayAsync(path, Rest.Cancellation);
        using var answer = await GetAsync(path, encoding);
        Assert.Equal([encoding], answer.Content.Headers.ContentEncoding);
        Assert.Contains("Accept-Encoding", answer.Headers.Vary);
        byte[] packed = await answer.Content.ReadAsByteArrayAsync(Rest.Cancellation);
        Assert.True(packed.Length < plain.Length / 2, $"{packed.Length} bytes of {plain.Length}");
        using var stream = new MemoryStream(packed);
        await using Stream unpacking = encoding == "br"
            ? new BrotliStream(stream, CompressionMode.Decompress)
            : new GZipStream(stream, CompressionMode.Decompress);
        using var unpacked = new MemoryStream();
        await unpacking.CopyToAsync(unpacked, Rest.Cancellation);
        Assert.Equal(plain, unpacked.ToArray());
    }

    [Fact]
    public async Task The_tag_of_a_compressed_answer_is_weak_and_still_good_for_a_change()
    {
        var vm = await shared.Client.CreateVmAsync(new { name = Rest.NewName("packed"), description = new string('x', 1000) });
        string path = $"/api/v1/vms/{vm["id"]}";
        using var answer = await GetAsync(path, "gzip");
        Assert.True(answer.Headers.ETag!.IsWeak);
        Assert.Equal(
            HttpStatusCode.NotModified, (await shared.Client.SendAsync(
                HttpMethod.Get, path, null, ("If-None-Match", answer.Headers.ETag.ToString()))).Status);
        Assert.Equal(
            HttpStatusCode.OK, (await shared.Client.SendAsync(
                HttpMethod.Patch, path, new { cpus = 2 }, ("If-Match", answer.Headers.ETag.ToString()))).Status);
    }

    [Theory]
    [InlineData("/sign-in")]
    [InlineData("/api/v1/events?after=0")]
    public async Task Pages_with_secrets_and_streams_are_not(string path)
    {
        using var answer = await GetAsync(path, "gzip, br");
        Assert.Empty(answer.Content.Headers.ContentEncoding);
    }

    [Fact]
    public async Task Files_of_a_version_are_kept_for_ever_and_others_asked_for_again()
    {
        string page = await shared.Client.GetStringAsync("/sign-in", Rest.Cancellation);
        int at = page.IndexOf("/css/components.css?v=", StringComparison.Ordinal);
        Assert.True(at > 0, page);
        string versioned = page[at..page.IndexOf('"', at)];
        Assert.Equal("public, max-age=31536000, immutable", await CacheControlAsync(versioned));
        Assert.Equal("no-cache", await CacheControlAsync("/css/components.css"));
        Assert.Equal("no-cache", await CacheControlAsync("/css/components.css?v=0123456789ab"));
    }

    private async Task<string> CacheControlAsync(string path)
    {
        using var answer = await GetAsync(path, "identity");
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        return answer.Headers.CacheControl!.ToString();
    }

    private Task<HttpResponseMessage> GetAsync(string path, string encoding)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, path);
        request.Headers.Add("Accept-Encoding", encoding);
        return shared.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Rest.Cancellation);
    }
}
