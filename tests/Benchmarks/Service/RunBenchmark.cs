using System.Diagnostics;
using System.Net;

namespace WebVm.Benchmarks.Service;

/// <summary>
/// From <c>./webvm run</c> in a checkout that is built already to a service that is ready: in a new data folder, then in the same again.
/// </summary>
internal sealed class RunBenchmark : IBenchmark
{
    private const int Runs = 5;
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    public string Name => "run";

    public IEnumerable<Measurement> Run() => MeasureAsync().ToBlockingEnumerable();

    private static async IAsyncEnumerable<Measurement> MeasureAsync()
    {
        // What is not built yet is built by this one.
        await MeasureOnceAsync(again: false);
        List<(double Scripts, double Ready)> first = [];
        List<(double Scripts, double Ready)> again = [];
        for (int run = 0; run < Runs; run++)
        {
            var both = await MeasureOnceAsync(again: true);
            first.Add(both[0]);
            again.Add(both[1]);
        }

        foreach (var (what, runs) in new[] { ("new data folder", first), ("same folder again", again) })
        {
            yield return new(
                $"./webvm run to ready, {what}", new Samples(runs.Select(run => run.Ready)).P50, "s",
                $"p50 of {Runs}; {new Samples(runs.Select(run => run.Scripts)).P50:f2} s of it scripts");
        }
    }

    /// <summary>Seconds to the service's process, and to its readiness; of each start in one data folder.</summary>
    private static async Task<List<(double Scripts, double Ready)>> MeasureOnceAsync(bool again)
    {
        string data = Directory.CreateTempSubdirectory("webvm-bench-").FullName;
        // The private cluster runs under another account, and has to reach its folder.
        File.SetUnixFileMode(data, (UnixFileMode)Convert.ToInt32("755", 8));
        try
        {
            List<(double, double)> starts = [await StartAsync(data)];
            if (again)
            {
                starts.Add(await StartAsync(data));
            }

            return starts;
        }
        finally
        {
            Directory.Delete(data, recursive: true);
        }
    }

    private static async Task<(double Scripts, double Ready)> StartAsync(string data)
    {
        string root = Environment.GetEnvironmentVariable("WEBVM_ROOT")
            ?? throw new InvalidOperationException("WEBVM_ROOT is not set; run: ./webvm bench run");
        string program = Path.Combine(root, "src/Web/bin/Release/net10.0/webvm");
        var address = new Uri($"http://127.0.0.1:{TestPorts.Next()}");
        var start = new ProcessStartInfo(
            Path.Combine(root, "webvm"), ["run"]) { RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["WEBVM_DATA"] = data;
        start.Environment["WEBVM_LISTEN"] = address.ToString();
        using var client = new HttpClient { BaseAddress = address };
        long began = Stopwatch.GetTimestamp();
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEndAsync();
        var errors = process.StandardError.ReadToEndAsync();
        double scripts = 0;
        while (!await IsReadyAsync(client))
        {
            // The script becomes the service.
            if (scripts == 0 && HostProcess.Runs(process.Id, program))
            {
                scripts = Stopwatch.GetElapsedTime(began).TotalSeconds;
            }

            if (process.HasExited || Stopwatch.GetElapsedTime(began) > Patience)
            {
                process.Kill(entireProcessTree: true);
                throw new InvalidOperationException($"./webvm run did not get ready: {await errors}{await output}");
            }

            await Task.Delay(10);
        }

        double ready = Stopwatch.GetElapsedTime(began).TotalSeconds;
        using var kill = Process.Start("kill", ["-TERM", process.Id.ToString(null, null)]);
        await process.WaitForExitAsync();
        return (scripts, ready);
    }

    private static async Task<bool> IsReadyAsync(HttpClient client)
    {
        try
        {
            using var answer = await client.GetAsync("/health/ready");
            return answer.StatusCode == HttpStatusCode.OK;
        }
        catch (HttpRequestException)
        {
            // Not listening yet.
            return false;
        }
    }
}
