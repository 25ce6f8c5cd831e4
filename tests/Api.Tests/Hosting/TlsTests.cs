using System.Net;
using System.Net.Http.Json;
using System.Security.Cryptography.X509Certificates;
using Xunit;

namespace WebVm.Api.Tests.Hosting;

/// <summary>The service over https, and behind proxies that speak it.</summary>
public sealed class TlsTests(TlsTests.SecureService secure, SharedService shared) : IClassFixture<TlsTests.SecureService>
{
    private const string Client = "203.0.113.7";

    [Fact]
    public async Task The_chain_is_served()
    {
        // The client knows the root alone: without the intermediate certificate it would refuse.
        using var client = secure.Connect();
        using var answer = await client.GetAsync("/health/live", Rest.Cancellation);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
    }

    [Fact]
    public async Task A_renewed_certificate_is_served_without_a_restart_and_a_broken_one_never()
    {
        await File.WriteAllTextAsync(secure.Certificate.File, "nonsense", Rest.Cancellation);
        await secure.UntilAsync(
            () => Task.FromResult(secure.Service.Output.Contains("the old one is still served", StringComparison.Ordinal)));
        secure.Certificate.Issue();
        await secure.UntilAsync(async () => await secure.ServedAsync() == secure.Certificate.SerialNumber);
    }

    [Fact]
    public async Task Cookies_of_a_secure_connection_are_never_sent_over_another()
    {
        using var client = secure.Connect();
        string name = Rest.NewName("user");
        const string password = "correct horse battery staple";
        await secure.Service.Client.SendAsync(HttpMethod.Post, "/api/v1/users", new { name, role = "viewer", password });
        using var signedIn = await client.PostAsync("/api/v1/session", JsonContent.Create(new { name, password }), Rest.Cancellation);
        Assert.Equal(HttpStatusCode.OK, signedIn.StatusCode);
        using var page = await client.GetAsync("/sign-in", Rest.Cancellation);
        string[] cookies = [.. signedIn.Headers.GetValues("Set-Cookie"), .. page.Headers.TryGetValues("Set-Cookie", out var more)
            ? more
            : []];
        Assert.NotEmpty(cookies);
        Assert.All(cookies, cookie => Assert.Contains("secure", cookie, StringComparison.OrdinalIgnoreCase));
    }

    [Fact]
    public async Task Browsers_are_told_to_stay_with_https()
    {
        using var client = secure.Connect();
        client.DefaultRequestHeaders.Host = "vm.example";
        using var answer = await client.GetAsync("/sign-in", Rest.Cancellation);
        Assert.Contains("max-age", answer.Headers.GetValues("Strict-Transport-Security").Single(), StringComparison.Ordinal);
        using var plain = await secure.Service.Client.GetAsync("/sign-in", Rest.Cancellation);
        Assert.False(plain.Headers.Contains("Strict-Transport-Security"));
    }

    [Theory]
    [InlineData("https", HttpStatusCode.Created)]
    [InlineData("http", HttpStatusCode.Forbidden)]
    public async Task A_page_that_was_not_secure_changes_nothing_over_https(string scheme, HttpStatusCode expected)
    {
        using var client = secure.Connect();
        client.DefaultRequestHeaders.Authorization = secure.Service.Client.DefaultRequestHeaders.Authorization;
        var (status, _, _) = await client.SendAsync(
            HttpMethod.Post, "/api/v1/vms", new { name = Rest.NewName() },
            ("Origin", $"{scheme}://{secure.Service.SecureAddress.Authority}"));
        Assert.Equal(expected, status);
    }

    [Theory]
    [InlineData(Client)]
    [InlineData("198.51.100.1, " + Client)]
    [InlineData("198.51.100.1, " + Client + ", 127.0.0.1")]
    public async Task A_trusted_proxy_says_where_requests_come_from(string forwarded) =>
        Assert.Equal(Client, await AuditedAsync(secure.Service.Client, forwarded));

    [Fact]
    public async Task Nobody_else_says_where_requests_come_from() => Assert.Equal("127.0.0.1", await AuditedAsync(shared.Client, Client));

    [Fact]
    public async Task A_trusted_proxy_says_that_it_was_reached_by_https()
    {
        string name = Rest.NewName("user");
        const string password = "correct horse battery staple";
        await secure.Service.Client.SendAsync(HttpMethod.Post, "/api/v1/users", new { name, role = "viewer", password });
        using var request = new HttpRequestMessage(
            HttpMethod.Post, new Uri(secure.Service.Address, "/api/v1/session")) { Content = JsonContent.Create(new { name, password }) };
        request.Headers.Add("X-Forwarded-Proto", "https");
        request.Headers.Add("X-Forwarded-For", Client);
        using var client = new HttpClient();
        using var answer = await client.SendAsync(request, Rest.Cancellation);
        Assert.All(answer.Headers.GetValues("Set-Cookie"), cookie => Assert.Contains("secure", cookie, StringComparison.OrdinalIgnoreCase));
    }

    /// <summary>The address in the audit trail of a change that says to come from somewhere.</summary>
    private static async Task<string> AuditedAsync(HttpClient client, string forwarded)
    {
        var vm = await client.CreateVmAsync(new { name = Rest.NewName("from") });
        var (status, _, _) = await client.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{vm["id"]}", null, ("X-Forwarded-For", forwarded));
        Assert.Equal(HttpStatusCode.Accepted, status);
        var (_, audit, _) = await client.SendAsync(HttpMethod.Get, "/api/v1/audit?limit=200");
        return (string)Assert.Single(
            audit!["items"]!.AsArray(), entry => ((string)entry!["target"]!).EndsWith(
                (string)vm["id"]!, StringComparison.Ordinal))!["address"]!;
    }

    /// <summary>A service with a certificate that believes the proxies of its own host.</summary>
    public sealed class SecureService : IAsyncLifetime
    {
        private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

        public TestCertificate Certificate { get; } = TestCertificate.Create();

        public ServiceProcess Service { get; private set; } = null!;

        public async ValueTask InitializeAsync() => Service = await ServiceProcess.StartAsync(settings: new(Guests.Settings())
        {
            ["WEBVM_CERTIFICATE"] = Certificate.File,
            ["WEBVM_CERTIFICATE_KEY"] = Certificate.KeyFile,
            ["WEBVM_PROXIES"] = "127.0.0.1; 10.0.0.0/8",
        });

        public async ValueTask DisposeAsync()
        {
            await Service.DisposeAsync();
            Certificate.Dispose();
        }

        /// <summary>A client that trusts the root of the certificate and nothing else.</summary>
        public HttpClient Connect(Action<X509Certificate2>? seen = null)
        {
            var handler = new SocketsHttpHandler();
            handler.SslOptions.CertificateChainPolicy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust,
                RevocationMode = X509RevocationMode.NoCheck };
            handler.SslOptions.CertificateChainPolicy.CustomTrustStore.Add(Certificate.Root);
            handler.SslOptions.RemoteCertificateValidationCallback = (_, certificate, _, errors) =>
            {
                seen?.Invoke((X509Certificate2)certificate!);
                return errors == System.Net.Security.SslPolicyErrors.None;
            };
            return new HttpClient(handler) { BaseAddress = Service.SecureAddress };
        }

        public async Task<string> ServedAsync()
        {
            string serial = "";
            using var client = Connect(certificate => serial = certificate.SerialNumber);
            using var answer = await client.GetAsync("/health/live", Rest.Cancellation);
            return serial;
        }

        /// <summary>Connects again and again, as connections are what the files are looked at for.</summary>
        public async Task UntilAsync(Func<Task<bool>> there)
        {
            long began = System.Diagnostics.Stopwatch.GetTimestamp();
            do
            {
                Assert.True(
                    System.Diagnostics.Stopwatch.GetElapsedTime(began) < Patience, $"The certificate was not taken up:\n{Service.Output}");
                await ServedAsync();
                await Task.Delay(200, Rest.Cancellation);
            }
            while (!await there());
        }
    }
}
