using System.Diagnostics;

namespace WebVm.Web.Tests;

/// <summary>nginx before the service, set up as docs/reverse-proxy/nginx.conf says.</summary>
internal sealed class NginxProxy : IAsyncDisposable
{
    /// <summary>Seconds after which this nginx closes what is silent; by default they are 60.</summary>
    public const int SilenceSeconds = 20;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("webvm-nginx-");
    private readonly Process _process;
    private readonly StringWriter _errors = new();

    private NginxProxy(Uri service, TestCertificate certificate)
    {
        Address = new Uri($"https://127.0.0.1:{TestPorts.Next()}");
        string server = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "nginx.conf"))
            .Replace("listen 443", $"listen 127.0.0.1:{Address.Port}", StringComparison.Ordinal)
            .Replace("http://127.0.0.1:8080", service.GetLeftPart(UriPartial.Authority), StringComparison.Ordinal)
            .Replace("/etc/ssl/vm.example.com.pem", certificate.File, StringComparison.Ordinal)
            .Replace("/etc/ssl/vm.example.com.key", certificate.KeyFile, StringComparison.Ordinal);
        string folders = string.Concat(
            new[] { "client_body", "proxy", "fastcgi", "uwsgi", "scgi" }.Select(name => $"{name}_temp_path {_folder.FullName}/{name};\n"));
        File.WriteAllText(Path.Combine(_folder.FullName, "nginx.conf"), $$"""
            daemon off;
            pid {{_folder.FullName}}/pid;
            error_log stderr;
            events { }
            http {
                access_log off;
                proxy_read_timeout {{SilenceSeconds}}s;
                {{folders}}
                {{server}}
            }
            """);
        // The workers run under another account.
        File.SetUnixFileMode(_folder.FullName, (UnixFileMode)Convert.ToInt32("755", 8));
        _process = Process.Start(
            new ProcessStartInfo(
                "nginx", ["-p", _folder.FullName, "-c", Path.Combine(
                    _folder.FullName, "nginx.conf"), "-e", "stderr"]) { RedirectStandardError = true })!;
        _process.ErrorDataReceived += (_, line) =>
        {
            lock (_errors)
            {
                _errors.WriteLine(line.Data);
            }
        };
        _process.BeginErrorReadLine();
    }

    public Uri Address { get; }

    public static async Task<NginxProxy> StartAsync(Uri service, TestCertificate certificate)
    {
        var proxy = new NginxProxy(service, certificate);
        using var handler = new HttpClientHandler
        {
            ServerCertificateCustomValidationCallback = HttpClientHandler.DangerousAcceptAnyServerCertificateValidator,
        };
        using var client = new HttpClient(handler);
        long began = Stopwatch.GetTimestamp();
        while (true)
        {
            try
            {
                using var answer = await client.GetAsync(new Uri(proxy.Address, "/health/live"), Rest.Cancellation);
                answer.EnsureSuccessStatusCode();
                return proxy;
            }
            catch (HttpRequestException) when (!proxy._process.HasExited && Stopwatch.GetElapsedTime(began) < Patience)
            {
                await Task.Delay(100, Rest.Cancellation);
            }
            catch (HttpRequestException failure)
            {
                string errors = proxy.Errors();
                await proxy.DisposeAsync();
                throw new InvalidOperationException($"nginx did not start:\n{errors}", failure);
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            // SIGTERM ends its workers too.
            using var kill = Process.Start("kill", [_process.Id.ToString(null, null)]);
            await _process.WaitForExitAsync();
        }

        _process.Dispose();
        _folder.Delete(recursive: true);
    }

    private string Errors()
    {
        lock (_errors)
        {
            return _errors.ToString();
        }
    }
}
