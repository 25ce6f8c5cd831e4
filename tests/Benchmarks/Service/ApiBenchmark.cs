using System.Diagnostics;
using System.Net.Http.Json;

namespace WebVm.Benchmarks.Service;

/// <summary>
/// Requests to a service that keeps 1,000 VMs, by one client and by eight at once. The daemons that one would otherwise use are not measured
/// beside it: none of them offers the same resources.
/// </summary>
internal sealed class ApiBenchmark : IBenchmark
{
    private const int Vms = 1000;
    private const int WarmUps = 50;
    private static readonly int[] s_clients = [1, 8];
    private static readonly TimeSpan s_period = TimeSpan.FromSeconds(4);
    private static readonly TimeSpan s_rest = TimeSpan.FromSeconds(10);

    public string Name => "api";

    public IEnumerable<Measurement> Run() => MeasureAsync().ToBlockingEnumerable();

    private static async IAsyncEnumerable<Measurement> MeasureAsync()
    {
        await using var service = await BenchService.StartAsync();
        string[] ids = new string[Vms];
        long start = Stopwatch.GetTimestamp();
        await Parallel.ForAsync(0, Vms, new ParallelOptions { MaxDegreeOfParallelism = 8 }, async (i, _) => ids[i] = await service.CreateAsync(new { name = $"bench-{i:d4}", labels = new { tier = $"t{i % 7}" } }));
        yield return new($"create {Vms} VMs, 8 clients", Vms / Stopwatch.GetElapsedTime(start).TotalSeconds, "/s");

        (string What, Func<int, int, Task<HttpResponseMessage>> Request)[] requests =
        [
            ("list, 1000 a page", (_, _) => service.Client.GetAsync("/api/v1/vms?limit=1000")),
            ("list, 100 a page", (_, _) => service.Client.GetAsync("/api/v1/vms?limit=100")),
            ("list, 100 a page, id and name only", (_, _) => service.Client.GetAsync("/api/v1/vms?limit=100&fields=id,name")),
            ("get", (_, n) => service.Client.GetAsync($"/api/v1/vms/{ids[n * 37 % Vms]}")),
            // Each client has VMs of its own: this is about speed, not conflicts.
            ("patch", (client, n) => service.Client.PatchAsync($"/api/v1/vms/{ids[((n * 8) + client) % Vms]}", JsonContent.Create(new { description = $"change {n}" }))),
        ];
        foreach (var (what, request) in requests)
        {
            await RunAsync(1, (client, n) => n < WarmUps ? request(client, n) : null);
            foreach (int clients in s_clients)
            {
                long began = Stopwatch.GetTimestamp();
                var samples = await RunAsync(clients, (client, n) => Stopwatch.GetElapsedTime(began) < s_period ? request(client, n) : null);
                string who = clients == 1 ? "1 client" : $"{clients} clients";
                yield return new($"{what}, {who}, p50", samples.P50, "ms", $"{samples.Count / s_period.TotalSeconds:f0} requests/s");
                yield return new($"{what}, {who}, p99", samples.P99, "ms");
            }
        }

        double cpu = HostProcess.CpuSeconds(service.ProcessId);
        await Task.Delay(s_rest);
        yield return new($"processor time at rest, {Vms} VMs that are off", (HostProcess.CpuSeconds(service.ProcessId) - cpu) / s_rest.TotalSeconds * 100, "% of a core");
    }

    /// <summary>Milliseconds of every request, until the clients are given null instead of one.</summary>
    private static async Task<Samples> RunAsync(int clients, Func<int, int, Task<HttpResponseMessage>?> request)
    {
        var all = await Task.WhenAll(Enumerable.Range(0, clients).Select(client => Task.Run(async () =>
        {
            var times = new List<double>();
            for (int n = 0; ; n++)
            {
                long start = Stopwatch.GetTimestamp();
                if (request(client, n) is not { } answering)
                {
                    return times;
                }

                using var answer = await answering;
                answer.EnsureSuccessStatusCode();
                times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            }
        })));
        return new Samples(all.SelectMany(times => times));
    }
}
