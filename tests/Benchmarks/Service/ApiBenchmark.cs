using System.Diagnostics;
using System.Net.Http.Json;

namespace WebVm.Benchmarks.Service;

/// <summary>
/// Requests to a service that keeps 1,000 VMs, by one client and by eight at once, and what has to find VMs among 4,000. The daemons that
/// one would otherwise use are not measured beside it: none of them offers the same resources.
/// </summary>
internal sealed class ApiBenchmark : IBenchmark
{
    private const int Vms = 1000;
    private const int ManyVms = 4000;
    private const int WarmUps = 50;
    private static readonly TimeSpan s_period = TimeSpan.FromSeconds(4);
    private static readonly TimeSpan s_rest = TimeSpan.FromSeconds(10);

    public string Name => "api";

    public IEnumerable<Measurement> Run() => MeasureAsync().ToBlockingEnumerable();

    private static async IAsyncEnumerable<Measurement> MeasureAsync()
    {
        await using var service = await BenchService.StartAsync();
        List<string> ids = [];
        yield return await CreateAsync(service, ids, Vms);

        Request[] finding =
        [
            new("list, 100 a page", (_, _) => service.Client.GetAsync("/api/v1/vms?limit=100")),
            new("list, 100 a page, last changed first", (_, _) => service.Client.GetAsync("/api/v1/vms?limit=100&sort=-updatedAt")),
            new("list, 100 a page, a label's", (_, n) => service.Client.GetAsync($"/api/v1/vms?limit=100&label=tier=t{n % 7}")),
            new("search for a part of a name", (_, n) => service.Client.GetAsync($"/api/v1/vms?limit=100&q=nch-0{n % 1000:d3}")),
        ];
        Request[] requests =
        [
            new("list, 1000 a page", (_, _) => service.Client.GetAsync("/api/v1/vms?limit=1000")),
            new("list, 100 a page, id and name only", (_, _) => service.Client.GetAsync("/api/v1/vms?limit=100&fields=id,name")),
            new("get", (_, n) => service.Client.GetAsync($"/api/v1/vms/{ids[n * 37 % Vms]}")),
            // Each client has VMs of its own: this is about speed, not conflicts.
            new("patch", (client, n) => service.Client.PatchAsync(
                $"/api/v1/vms/{ids[((n * 8) + client) % Vms]}", JsonContent.Create(new { description = $"change {n}" }))),
            .. finding,
        ];
        await foreach (var measurement in MeasureAsync(requests, "", 1, 8))
        {
            yield return measurement;
        }

        double cpu = HostProcess.CpuSeconds(service.ProcessId);
        await Task.Delay(s_rest);
        yield return new(
            $"processor time at rest, {Vms} VMs that are off",
            (HostProcess.CpuSeconds(service.ProcessId) - cpu) / s_rest.TotalSeconds * 100, "% of a core");

        yield return await CreateAsync(service, ids, ManyVms);
        await foreach (var measurement in MeasureAsync(finding, $", {ManyVms} VMs", 1))
        {
            yield return measurement;
        }
    }

    private static async Task<Measurement> CreateAsync(BenchService service, List<string> ids, int count)
    {
        string[] made = new string[count - ids.Count];
        long start = Stopwatch.GetTimestamp();
        await Parallel.ForAsync(0, made.Length, new ParallelOptions { MaxDegreeOfParallelism = 8 },
            async (i, _) =>
                made[i] = await service.CreateAsync(new { name = $"bench-{ids.Count + i:d4}", labels = new { tier = $"t{i % 7}" } }));
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        ids.AddRange(made);
        return new($"create {made.Length} VMs, 8 clients", made.Length / seconds, "/s");
    }

    private static async IAsyncEnumerable<Measurement> MeasureAsync(Request[] requests, string where, params int[] clientCounts)
    {
        foreach (var (what, send) in requests)
        {
            await RunAsync(1, (client, n) => n < WarmUps ? send(client, n) : null);
            foreach (int clients in clientCounts)
            {
                long began = Stopwatch.GetTimestamp();
                var samples = await RunAsync(clients, (client, n) => Stopwatch.GetElapsedTime(began) < s_period ? send(client, n) : null);
                string who = (clients == 1 ? "1 client" : $"{clients} clients") + where;
                yield return new($"{what}, {who}, p50", samples.P50, "ms", $"{samples.Count / s_period.TotalSeconds:f0} requests/s");
                yield return new($"{what}, {who}, p99", samples.P99, "ms");
            }
        }
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

    /// <param name="Send">Sends it for a client, the n-th time.</param>
    private sealed record Request(string What, Func<int, int, Task<HttpResponseMessage>> Send);
}
