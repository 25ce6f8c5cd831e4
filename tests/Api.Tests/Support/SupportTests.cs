using System.Diagnostics;
using System.Formats.Tar;
using System.IO.Compression;
using System.Net;
using Xunit;
using WebVm.Api.Support;

namespace WebVm.Api.Tests.Support;

/// <summary>The support bundle: what helps is in it, what opens anything is not.</summary>
public sealed class SupportTests(SharedService shared)
{
    [Fact]
    public async Task The_bundle_has_versions_host_logs_and_events_and_no_secret()
    {
        string name = Rest.NewName("bundled");
        var vm = await shared.Client.CreateVmAsync(IdleGuest.Settings(await IdleGuest.UploadAsync(shared.Client), name));
        await shared.Client.SendAsync(HttpMethod.Put, $"/api/v1/vms/{vm["id"]}/power?wait=60", new { action = "on" });
        string token =
            (string)(await shared.Client.SendAsync(
                HttpMethod.Post, "/api/v1/tokens", new { name = Rest.NewName(), scopes = new[] { "vms:read" } })).Body!["token"]!;
        using var answer = await shared.Client.GetAsync("/api/v1/support-bundle", Rest.Cancellation);
        Assert.Equal("application/zip", answer.Content.Headers.ContentType!.MediaType);
        Assert.Matches("^\"?webvm-support-[0-9-]{15}\\.zip\"?$", answer.Content.Headers.ContentDisposition!.FileName!);
        using var zip = new ZipArchive(new MemoryStream(await answer.Content.ReadAsByteArrayAsync(Rest.Cancellation)));
        var texts = zip.Entries.ToDictionary(entry => entry.FullName, entry => new StreamReader(entry.Open()).ReadToEnd());
        Assert.DoesNotContain(texts, part => part.Value.StartsWith("This part could not be had", StringComparison.Ordinal));
        Assert.Contains("PostgreSQL", texts["versions.txt"], StringComparison.Ordinal);
        Assert.Contains("0007_LastNames", texts["versions.txt"], StringComparison.Ordinal);
        Assert.Contains("\"capabilities\"", texts["host.json"], StringComparison.Ordinal);
        Assert.Contains("AdminToken is given", texts["settings.txt"], StringComparison.Ordinal);
        Assert.Contains("DatabasePassword is not given", texts["settings.txt"], StringComparison.Ordinal);
        Assert.Contains(name, texts["vms.jsonl"], StringComparison.Ordinal);
        Assert.Contains($"/api/v1/vms/{vm["id"]}", texts["events.jsonl"], StringComparison.Ordinal);
        Assert.Contains("vm.power", texts["operations.jsonl"], StringComparison.Ordinal);
        Assert.Contains("Information", texts["service.log"], StringComparison.Ordinal);
        Assert.Contains(texts.Keys, part => part.StartsWith("monitors/", StringComparison.Ordinal));
        Assert.All(texts, part => Assert.DoesNotContain(ServiceProcess.AdminToken, part.Value, StringComparison.Ordinal));
        Assert.All(texts, part => Assert.DoesNotContain(token, part.Value, StringComparison.Ordinal));
        await shared.Client.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{vm["id"]}?force=true&wait=60");
    }

    [Fact]
    public async Task Only_an_administrator_gets_it()
    {
        string token =
            (string)(await shared.Client.SendAsync(
                HttpMethod.Post, "/api/v1/tokens", new { name = Rest.NewName(),
                    scopes = new[] { "vms:read", "vms:write" } })).Body!["token"]!;
        using var client = new HttpClient { BaseAddress = shared.Service.Address };
        Assert.Equal(HttpStatusCode.Unauthorized, (await client.GetAsync("/api/v1/support-bundle", Rest.Cancellation)).StatusCode);
        client.DefaultRequestHeaders.Authorization = new("Bearer", token);
        Assert.Equal(HttpStatusCode.Forbidden, (await client.GetAsync("/api/v1/support-bundle", Rest.Cancellation)).StatusCode);
    }

    [Theory]
    [InlineData("a wvm_AbC-12_x b", "a [removed] b")]
    [InlineData("Host=db;Password=geheim;Username=x", "Host=db;Password=[removed];Username=x")]
    [InlineData("Authorization: Bearer abc.def", "Authorization: Bearer [removed]")]
    [InlineData("GET /sign-in/link?code=Zz09 done", "GET /sign-in/link?code=[removed] done")]
    [InlineData("{\"ticket\":\"CfDJ8\"}", "{\"ticket\":\"[removed]\"}")]
    [InlineData("the password of the vault is kept", "the password of the vault is kept")]
    [InlineData("given: hunter2secret!", "given: [removed]")]
    [InlineData("-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\nend", "[removed]\nend")]
    public void What_opens_something_is_taken_out(string text, string expected) =>
        Assert.Equal(expected, new Redaction("hunter2secret!", null, "").Apply(text));

    [Fact]
    public void No_link_is_followed_and_no_pipe_is_waited_for()
    {
        string folder = Directory.CreateTempSubdirectory("webvm-ends").FullName;
        try
        {
            string file = Path.Combine(folder, "file");
            File.WriteAllText(file, "0123456789");
            File.CreateSymbolicLink(Path.Combine(folder, "link"), file);
            using (var made = Process.Start("mkfifo", [Path.Combine(folder, "pipe")]))
            {
                made.WaitForExit();
            }

            Assert.Equal("789", EndOfFile.Read(file, 3));
            Assert.Equal("0123456789", EndOfFile.Read(file, 100));
            Assert.Null(EndOfFile.Read(Path.Combine(folder, "link"), 100));
            Assert.Null(EndOfFile.Read(Path.Combine(folder, "pipe"), 100));
            Assert.Null(EndOfFile.Read(Path.Combine(folder, "missing"), 100));
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }

    [Fact]
    public async Task Doctor_makes_a_bundle_beside_a_service_and_without_one()
    {
        string folder = Directory.CreateTempSubdirectory("webvm-doctor").FullName;
        try
        {
            var beside = await BundleAsync(
                Path.Combine(
                    folder, "beside.tar.gz"), new() { ["WEBVM_TOKEN"] = ServiceProcess.AdminToken,
                        ["WEBVM_LISTEN"] = shared.Service.Address.ToString().TrimEnd('/') });
            Assert.Contains("webvm-support/service.zip", beside.Keys);
            string data = Directory.CreateDirectory(Path.Combine(folder, "data", "run", "abc")).FullName;
            await File.WriteAllTextAsync(Path.Combine(data, "monitor.log"), "it failed with token=geheim\n", Rest.Cancellation);
            var alone = await BundleAsync(Path.Combine(folder, "alone.tar.gz"), new() { ["WEBVM_DATA"] = Path.Combine(folder, "data") });
            Assert.Equal("it failed with token=[removed]\n", alone["webvm-support/monitors/abc.log"]);
            Assert.StartsWith("WebVm ", alone["webvm-support/versions.txt"], StringComparison.Ordinal);
            Assert.Contains("dotnet", alone["webvm-support/doctor.txt"], StringComparison.Ordinal);
            Assert.Contains("WEBVM_TOKEN", alone["webvm-support/service.txt"], StringComparison.Ordinal);
            var ofService = await BundleAsync(Path.Combine(folder, "of-service.tar.gz"), new() { ["WEBVM_DATA"] = shared.Service.Data });
            Assert.StartsWith("id,at,type,subject,message\n", ofService["webvm-support/events.csv"], StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }

    private static async Task<Dictionary<string, string>> BundleAsync(string file, Dictionary<string, string> environment)
    {
        var start = new ProcessStartInfo(
            Path.Combine(Checkout.Source(), "webvm"),
            ["doctor", "--bundle", file]) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string name in (string[])["WEBVM_TOKEN", "WEBVM_ADMIN_TOKEN", "WEBVM_DATABASE"])
        {
            start.Environment.Remove(name);
        }

        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        using var process = Process.Start(start)!;
        string output = await process.StandardOutput.ReadToEndAsync(Rest.Cancellation)
            + await process.StandardError.ReadToEndAsync(Rest.Cancellation);
        Assert.True(process.WaitForExit(Rest.Patience) && process.ExitCode == 0, output);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
        await using var packed = new GZipStream(File.OpenRead(file), CompressionMode.Decompress);
        await using var tar = new TarReader(packed);
        var texts = new Dictionary<string, string>();
        while (await tar.GetNextEntryAsync(copyData: true, Rest.Cancellation) is { } entry)
        {
            texts[entry.Name] = entry.DataStream is { } data ? await new StreamReader(data).ReadToEndAsync(Rest.Cancellation) : "";
        }

        return texts;
    }
}
