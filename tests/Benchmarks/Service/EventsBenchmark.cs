using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json.Nodes;

namespace WebVm.Benchmarks.Service;

/// <summary>
/// What streams of events cost others: a client that reads a VM fifty times a second, alone and beside ten users with fifty streams each,
/// while a hundred things happen in a second. All of it on the same host, the clients of the streams too.
/// </summary>
internal sealed class EventsBenchmark : IBenchmark
{
    private const int Users = 10;
    private const int StreamsOfOne = 50;
    private const int EventsPerSecond = 100;
    private const int ReadsPerSecond = 50;
    private const string Password = "correct horse battery staple";
    private static readonly TimeSpan s_period = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan s_warmUp = TimeSpan.FromSeconds(3);

    public string Name => "events";

    public IEnumerable<Measurement> Run() => MeasureAsync().ToBlockingEnumerable();

    private static async IAsyncEnumerable<Measurement> MeasureAsync()
    {
        await using var service = await BenchService.StartAsync();
        string read = $"/api/v1/vms/{await service.CreateAsync(new { name = "read" })}";
        string changed = $"/api/v1/vms/{await service.CreateAsync(new { name = "changed" })}";
        await ReadAsync(service, read, s_warmUp);
        var alone = await ReadAsync(service, read, s_period);
        yield return new("read a VM 50 times a second, alone, p50", alone.P50, "ms");
        yield return new("read a VM 50 times a second, alone, p99", alone.P99, "ms");

        using var over = new CancellationTokenSource();
        var changing = ChangeAsync(service, changed, over.Token);
        await ReadAsync(service, read, s_warmUp);
        var beside = await ReadAsync(service, read, s_period);
        yield return new($"beside {EventsPerSecond} changes a second and no stream, p99", beside.P99, "ms");

        var streams = await OpenAsync(service, over.Token);
        await ReadAsync(service, read, s_warmUp);
        streams.ForEach(stream => stream.Begin());
        double cpu = HostProcess.CpuSeconds(service.ProcessId);
        var crowded = await ReadAsync(service, read, s_period);
        cpu = HostProcess.CpuSeconds(service.ProcessId) - cpu;
        double perStream = streams.Average(stream => stream.Events) / s_period.TotalSeconds;
        var delays = new Samples(streams.Take(Users).SelectMany(stream => stream.Delays()));
        string crowd = $"beside {streams.Count} streams of {Users} users";
        yield return new($"{crowd}, p50", crowded.P50, "ms");
        yield return new($"{crowd}, p99", crowded.P99, "ms", $"{perStream:f0} events a second on each stream");
        yield return new($"{crowd}: processor time of the service", cpu / s_period.TotalSeconds * 100, "% of a core");
        yield return new("from an event to its arrival, p50", delays.P50, "ms");
        yield return new("from an event to its arrival, p99", delays.P99, "ms");
        await over.CancelAsync();
        await Task.WhenAll([changing, .. streams.Select(stream => stream.Ended)]);
    }

    /// <summary>
    /// Milliseconds of each read. They begin at their times, whether the one before was answered or not: waiting is measured too.
    /// </summary>
    private static async Task<Samples> ReadAsync(BenchService service, string path, TimeSpan period)
    {
        var reads = new List<Task<double>>();
        await EachAsync(ReadsPerSecond, period, () => reads.Add(ReadOnceAsync()), CancellationToken.None);
        return new Samples(await Task.WhenAll(reads));

        async Task<double> ReadOnceAsync()
        {
            long start = Stopwatch.GetTimestamp();
            using var answer = await service.Client.GetAsync(path);
            answer.EnsureSuccessStatusCode();
            return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }
    }

    private static async Task ChangeAsync(BenchService service, string path, CancellationToken over)
    {
        int n = 0;
        var changes = new List<Task>();
        await EachAsync(EventsPerSecond, TimeSpan.MaxValue, () => changes.Add(ChangeOnceAsync($"change {n++}")), over);
        await Task.WhenAll(changes);

        async Task ChangeOnceAsync(string description)
        {
            using var answer = await service.Client.PatchAsync(path, JsonContent.Create(new { description }), CancellationToken.None);
        }
    }

    private static async Task EachAsync(int perSecond, TimeSpan period, Action act, CancellationToken over)
    {
        long start = Stopwatch.GetTimestamp();
        for (int done = 0; !over.IsCancellationRequested
            && Stopwatch.GetElapsedTime(start) < period; await Task.Delay(1, CancellationToken.None))
        {
            for (; done < Stopwatch.GetElapsedTime(start).TotalSeconds * perSecond; done++)
            {
                act();
            }
        }
    }

    private static async Task<List<Reader>> OpenAsync(BenchService service, CancellationToken over)
    {
        var readers = new List<Reader>();
        for (int user = 0; user < Users; user++)
        {
            string name = $"reader-{user}";
            await service.SendAsync(HttpMethod.Post, "/api/v1/users", new { name, role = "viewer", password = Password });
            using var browser = new HttpClient { BaseAddress = service.Address };
            (await browser.PostAsJsonAsync(
                "/api/v1/session", new { name, password = Password }, CancellationToken.None)).EnsureSuccessStatusCode();
            using var made = await browser.PostAsJsonAsync(
                "/api/v1/tokens", new { name, scopes = new[] { "vms:read" } }, CancellationToken.None);
            var token = await made.Content.ReadFromJsonAsync<JsonNode>(CancellationToken.None);
            var client = new HttpClient { BaseAddress = service.Address, Timeout = Timeout.InfiniteTimeSpan };
            client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", (string)token!["token"]!);
            for (int stream = 0; stream < StreamsOfOne; stream++)
            {
                readers.Add(await Reader.OpenAsync(client, over));
            }
        }

        return readers;
    }

    /// <summary>A client that looks at each event for its time alone: what reading costs is not the service's.</summary>
    private sealed class Reader
    {
        private readonly List<double> _delays = [];
        private volatile bool _counts;

        public int Events => _delays.Count;

        public Task Ended { get; private set; } = Task.CompletedTask;

        public static async Task<Reader> OpenAsync(HttpClient client, CancellationToken over)
        {
            var reader = new Reader();
            var answer = await client.GetAsync("/api/v1/events", HttpCompletionOption.ResponseHeadersRead, over);
            answer.EnsureSuccessStatusCode();
            reader.Ended = Task.Run(() => reader.ReadAsync(answer, over), CancellationToken.None);
            return reader;
        }

        public void Begin() => _counts = true;

        public double[] Delays() => [.. _delays];

        private async Task ReadAsync(HttpResponseMessage answer, CancellationToken over)
        {
            const string at = "\"at\":\"";
            using var owned = answer;
            try
            {
                using var lines = new StreamReader(await answer.Content.ReadAsStreamAsync(over));
                while (await lines.ReadLineAsync(over) is { } line)
                {
                    if (_counts && line.IndexOf(at, StringComparison.Ordinal) is >= 0 and var found)
                    {
                        int begin = found + at.Length;
                        var happened = DateTimeOffset.Parse(
                            line.AsSpan(begin, line.IndexOf('"', begin) - begin), CultureInfo.InvariantCulture);
                        _delays.Add((DateTimeOffset.UtcNow - happened).TotalMilliseconds);
                    }
                }
            }
            catch (Exception end) when (end is OperationCanceledException or IOException)
            {
                // Enough was measured.
            }
        }
    }
}
