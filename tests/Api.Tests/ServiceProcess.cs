using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;

namespace WebVm.Api.Tests;

/// <summary>A real service: the program itself, with a private PostgreSQL cluster, in a folder of its own.</summary>
public sealed class ServiceProcess : IAsyncDisposable
{
    public const string AdminToken = "test-token-0123456789-0123456789-0123456789";

    private static readonly TimeSpan StartPatience = TimeSpan.FromSeconds(90);
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(30);

    private readonly Dictionary<string, string> _settings;
    private readonly bool _ownsData;
    private Process? _process;
    private StringWriter _output = new();

    private ServiceProcess(string data, bool ownsData, Dictionary<string, string> settings)
    {
        Data = data;
        _ownsData = ownsData;
        _settings = settings;
        int port = FreePort();
        Address = new Uri($"http://127.0.0.1:{port}");
        SecureAddress = new Uri($"https://127.0.0.1:{FreePort()}");
        Client = new HttpClient { BaseAddress = Address, Timeout = TimeSpan.FromMinutes(2) };
        Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", AdminToken);
    }

    public string Data { get; }

    public Uri Address { get; }

    /// <summary>Served if the settings name a certificate.</summary>
    public Uri SecureAddress { get; }

    /// <summary>Authenticated with every right.</summary>
    public HttpClient Client { get; }

    public int ProcessId => _process!.Id;

    /// <summary>All that the service has printed.</summary>
    public string Output
    {
        get
        {
            lock (_output)
            {
                return _output.ToString();
            }
        }
    }

    public static async Task<ServiceProcess> StartAsync(string? data = null, Dictionary<string, string>? settings = null)
    {
        var service = new ServiceProcess(data ?? Directory.CreateTempSubdirectory("webvm-test-").FullName, data is null, settings ?? []);
        // The private cluster runs under another account, and has to reach its folder.
        File.SetUnixFileMode(service.Data, (UnixFileMode)Convert.ToInt32("755", 8));
        await service.StartAgainAsync();
        return service;
    }

    public async Task StartAgainAsync()
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "webvm")) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["WEBVM_DATA"] = Data;
        start.Environment["WEBVM_LISTEN"] = _settings.ContainsKey("WEBVM_CERTIFICATE") ? $"{Address};{SecureAddress}" : Address.ToString();
        start.Environment["WEBVM_ADMIN_TOKEN"] = AdminToken;
        foreach (var (name, value) in _settings)
        {
            start.Environment[name] = value;
        }

        _output = new StringWriter();
        _process = Process.Start(start)!;
        _process.OutputDataReceived += (_, line) => Keep(line.Data);
        _process.ErrorDataReceived += (_, line) => Keep(line.Data);
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        long began = Stopwatch.GetTimestamp();
        while (true)
        {
            try
            {
                using var ready = await Client.GetAsync("/health/ready");
                if (ready.StatusCode == HttpStatusCode.OK)
                {
                    return;
                }
            }
            catch (HttpRequestException)
            {
                // Not listening yet.
            }

            if (_process.HasExited || Stopwatch.GetElapsedTime(began) > StartPatience)
            {
                throw new InvalidOperationException($"The service did not start:\n{Output}");
            }

            await Task.Delay(100);
        }
    }

    /// <summary>kill -9.</summary>
    public async Task KillAsync()
    {
        _process!.Kill();
        await _process.WaitForExitAsync();
    }

    /// <summary>What a service manager does: SIGTERM, and waiting for the end.</summary>
    public async Task StopAsync(TimeSpan? patience = null)
    {
        if (_process is { HasExited: false })
        {
            await SignalAsync("TERM");
            using var over = new CancellationTokenSource(patience ?? StopPatience);
            try
            {
                await _process.WaitForExitAsync(over.Token);
            }
            catch (OperationCanceledException failure)
            {
                string state = await File.ReadAllTextAsync($"/proc/{_process.Id}/status");
                throw new InvalidOperationException($"The service did not stop in time (exited: {_process.HasExited}):\n{state}\n{Output}", failure);
            }
        }
    }

    public async Task SignalAsync(string signal)
    {
        using var kill = Process.Start("kill", [$"-{signal}", _process!.Id.ToString(null, null)]);
        await kill.WaitForExitAsync();
    }

    /// <summary>kill -9 of every monitor, with the shell around it.</summary>
    public Task KillMonitorsAsync() => SignalMonitorsAsync("KILL");

    /// <summary>Sends a signal to every monitor and the shell around it.</summary>
    public async Task SignalMonitorsAsync(string signal)
    {
        string runs = Path.Combine(Data, "run");
        foreach (string session in Directory.Exists(runs) ? Directory.GetFiles(runs, "session", SearchOption.AllDirectories) : [])
        {
            await SignalIfOursAsync(signal, session, "-");
        }
    }

    /// <summary>kill -9 of the private cluster's postmaster; its children follow it.</summary>
    public Task KillDatabaseAsync() => SignalIfOursAsync("KILL", Path.Combine(Data, "postgres", "data", "postmaster.pid"), "");

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await StopAsync();
        await KillMonitorsAsync();
        await KillDatabaseAsync();
        _process?.Dispose();
        if (_ownsData)
        {
            Directory.Delete(Data, recursive: true);
        }
    }

    /// <summary>Signals the process, or with a "-" the group, that a file names, if its command line speaks of this service's folder.</summary>
    private async Task SignalIfOursAsync(string signal, string pidFile, string group)
    {
        try
        {
            string pid = (await File.ReadAllLinesAsync(pidFile))[0];
            if ((await File.ReadAllTextAsync($"/proc/{pid}/cmdline")).Contains(Data, StringComparison.Ordinal))
            {
                using var kill = Process.Start(new ProcessStartInfo("kill", ["-" + signal, "--", group + pid]) { RedirectStandardError = true })!;
                await kill.WaitForExitAsync();
            }
        }
        catch (IOException)
        {
            // It has ended by itself.
        }
    }

    public static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private void Keep(string? line)
    {
        lock (_output)
        {
            _output.WriteLine(line);
        }
    }
}
