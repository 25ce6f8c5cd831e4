using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Runtime.InteropServices;

namespace WebVm.Kit.Service;

/// <summary>A real service: the program itself, with a private PostgreSQL cluster, in a folder of its own.</summary>
public sealed partial class ServiceProcess : IAsyncDisposable
{
    public const string AdminToken = "test-token-0123456789-0123456789-0123456789";

    private static readonly TimeSpan StartPatience = TimeSpan.FromMinutes(3);
    private static readonly TimeSpan StopPatience = TimeSpan.FromMinutes(2);
    private static readonly TimeSpan EndPatience = TimeSpan.FromSeconds(60);

    // signal(7), x86.
    private static readonly Dictionary<string, int> s_signals =
        new() { ["INT"] = 2, ["QUIT"] = 3, ["KILL"] = 9, ["TERM"] = 15, ["CONT"] = 18, ["STOP"] = 19 };

    private readonly Dictionary<string, string> _settings;
    private readonly bool _ownsData;
    private Process? _process;
    private readonly StringWriter _log = new();
    private readonly HashSet<int> _signalled = [];
    private int _start;

    private ServiceProcess(string data, bool ownsData, Dictionary<string, string> settings)
    {
        Data = data;
        _ownsData = ownsData;
        _settings = settings;
        Address = new Uri($"http://127.0.0.1:{TestPorts.Next()}");
        SecureAddress = new Uri($"https://127.0.0.1:{TestPorts.Next()}");
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

    /// <summary>Environment variables of the next start.</summary>
    public IDictionary<string, string> Settings => _settings;

    /// <summary>What is started next.</summary>
    public string Program { get; set; } = Path.Combine(AppContext.BaseDirectory, "webvm");

    /// <summary>All that the service has printed since it was started last.</summary>
    public string Output => Log[_start..];

    /// <summary>All that it has printed over all its starts.</summary>
    public string Log
    {
        get
        {
            lock (_log)
            {
                return _log.ToString();
            }
        }
    }

    public static async Task<ServiceProcess> StartAsync(
        string? data = null, Dictionary<string, string>? settings = null, string? program = null)
    {
        var service = new ServiceProcess(data ?? Directory.CreateTempSubdirectory("webvm-test-").FullName, data is null, settings ?? []);
        service.Program = program ?? service.Program;
        // The private cluster runs under another account, and has to reach its folder.
        File.SetUnixFileMode(service.Data, (UnixFileMode)Convert.ToInt32("755", 8));
        await service.StartAgainAsync();
        return service;
    }

    public async Task StartAgainAsync()
    {
        var start = new ProcessStartInfo(Program) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["WEBVM_DATA"] = Data;
        start.Environment["WEBVM_LISTEN"] = _settings.ContainsKey("WEBVM_CERTIFICATE") ? $"{Address};{SecureAddress}" : Address.ToString();
        start.Environment["WEBVM_ADMIN_TOKEN"] = AdminToken;
        foreach (var (name, value) in _settings)
        {
            start.Environment[name] = value;
        }

        lock (_log)
        {
            _start = _log.GetStringBuilder().Length;
        }

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
                throw new InvalidOperationException(
                    $"The service did not stop in time (exited: {_process.HasExited}):\n{state}\n{Output}", failure);
            }
        }
    }

    public Task SignalAsync(string signal)
    {
        _ = Kill(_process!.Id, s_signals[signal]);
        return Task.CompletedTask;
    }

    /// <summary>kill -9 of every monitor, with its keeper.</summary>
    public Task KillMonitorsAsync() => SignalMonitorsAsync("KILL");

    /// <summary>Sends a signal to every monitor and its keeper.</summary>
    public Task SignalMonitorsAsync(string signal)
    {
        // The keeper first: killed, it cannot report.
        Signal(signal, run => [.. Recorded(run, "keeper"), .. Recorded(run, "monitor").SelectMany(WithChildren)]);
        return Task.CompletedTask;
    }

    /// <summary>kill -9 of every keeper; monitors go on.</summary>
    public void KillKeepers() => Signal("KILL", run => Recorded(run, "keeper"));

    private void Signal(string signal, Func<string, int[]> whom)
    {
        string runs = Path.Combine(Data, "run");
        foreach (string run in Directory.Exists(runs) ? Directory.GetDirectories(runs) : [])
        {
            int[] processes = whom(run);
            _signalled.UnionWith(processes);
            Array.ForEach(processes, process => _ = Kill(process, s_signals[signal]));
        }
    }

    /// <summary>The process of a run that executes the guest.</summary>
    public static int MonitorOf(string run) => Recorded(run, "monitor").SelectMany(WithChildren).Last();

    /// <summary>Those of all runs, without their keepers.</summary>
    public int[] Monitors() =>
        Directory.Exists(Path.Combine(Data, "run")) ? [.. Directory.GetDirectories(Path.Combine(Data, "run")).Select(MonitorOf)] : [];

    /// <summary>kill -9 of the private cluster's postmaster; its children follow it.</summary>
    public Task KillDatabaseAsync() => SignalIfOursAsync("KILL", Path.Combine(Data, "postgres", "data", "postmaster.pid"), "");

    public async ValueTask DisposeAsync()
    {
        Report();
        Client.Dispose();
        await StopAsync();
        await KillMonitorsAsync();
        // Told to end at once, a postmaster ends its children first: killed, it would leave them writing into the folder for a moment.
        string postmaster = Path.Combine(Data, "postgres", "data", "postmaster.pid");
        await SignalIfOursAsync("QUIT", postmaster, "");
        await AwaitEndAsync();
        _process?.Dispose();
        if (_ownsData)
        {
            Directory.Delete(Data, recursive: true);
        }
    }

    /// <summary>What is of use to whoever reads of a test's failure; where there are no tests, nothing.</summary>
    partial void Report();

    /// <summary>Waits until no process is left that was started for this service's folder.</summary>
    private async Task AwaitEndAsync()
    {
        for (long began = Stopwatch.GetTimestamp(); Left() is { Length: > 0 } left; await Task.Delay(20))
        {
            if (Stopwatch.GetElapsedTime(began) > EndPatience)
            {
                throw new InvalidOperationException($"Processes are left of the service in {Data}: {string.Join("; ", left)}");
            }
        }
    }

    private string[] Left()
    {
        string[] folders = [Path.Combine(Data, "run"), Path.Combine(Data, "postgres")];
        return [.. Directory.GetDirectories("/proc").Where(process => char.IsAsciiDigit(Path.GetFileName(process)[0]))
            .Select(process => (Line: CommandLine(process), Signalled: _signalled.Contains(int.Parse(Path.GetFileName(process), null))))
            .Where(process => folders.Any(folder => process.Line.Contains(folder, StringComparison.Ordinal))
                || (process.Signalled && process.Line.Contains("webvm-vmm", StringComparison.Ordinal)))
            .Select(process => process.Line)];

        static string CommandLine(string process)
        {
            try
            {
                return File.ReadAllText(Path.Combine(process, "cmdline")).Replace('\0', ' ');
            }
            catch (IOException)
            {
                // It has ended.
                return "";
            }
        }
    }

    /// <summary>The process that a keeper wrote down; none when it has ended, or another has its number by now.</summary>
    private static int[] Recorded(string run, string role)
    {
        try
        {
            string[] words =
                File.ReadAllLines(Path.Combine(run, "process")).Single(line => line.StartsWith(role + " ", StringComparison.Ordinal))
                    .Split(' ');
            string stat = File.ReadAllText($"/proc/{words[1]}/stat");
            return stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[19] == words[2] ? [int.Parse(words[1], null)] : [];
        }
        catch (IOException)
        {
            return [];
        }
    }

    /// <summary>Where the first process of a namespace was written down, the monitor is its child.</summary>
    private static int[] WithChildren(int process)
    {
        try
        {
            return [process, .. File.ReadAllText($"/proc/{process}/task/{process}/children")
                .Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(child => int.Parse(child, null))];
        }
        catch (IOException)
        {
            return [process];
        }
    }

    /// <summary>
    /// Signals the process, or with a "-" the group, that a file names, if its command line speaks of this service's folder.
    /// </summary>
    private async Task SignalIfOursAsync(string signal, string pidFile, string group)
    {
        try
        {
            string pid = (await File.ReadAllLinesAsync(pidFile))[0];
            if ((await File.ReadAllTextAsync($"/proc/{pid}/cmdline")).Contains(Data, StringComparison.Ordinal))
            {
                _ = Kill(int.Parse(group + pid, null), s_signals[signal]);
            }
        }
        catch (IOException)
        {
            // It has ended by itself.
        }
    }

    // Without a process for it: what is to be stopped in the midst of something goes on until then. ESRCH is a normal result.
    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);

    private void Keep(string? line)
    {
        lock (_log)
        {
            _log.WriteLine(line);
        }
    }
}
