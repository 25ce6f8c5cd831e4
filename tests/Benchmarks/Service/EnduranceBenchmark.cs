using System.Diagnostics;
using System.Globalization;

namespace WebVm.Benchmarks.Service;

/// <summary>
/// What stays of use: for WEBVM_ENDURANCE_MINUTES (10) machines are made in rounds, their consoles opened, lists and metrics read, events
/// followed, and all but one machine deleted. The service's memory before, in the rounds, and when it has been left alone.
/// </summary>
internal sealed class EnduranceBenchmark : IBenchmark
{
    private const int MachinesOfARound = 20;
    private const int ReadsOfARound = 100;
    private const double Mebibyte = 1 << 20;
    private static readonly TimeSpan s_watched = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_rest = TimeSpan.FromMinutes(2);

    public string Name => "endurance";

    public IEnumerable<Measurement> Run() => MeasureAsync().ToBlockingEnumerable();

    private static async IAsyncEnumerable<Measurement> MeasureAsync()
    {
        var time = TimeSpan.FromMinutes(
            double.Parse(Environment.GetEnvironmentVariable("WEBVM_ENDURANCE_MINUTES") ?? "10", CultureInfo.InvariantCulture));
        await using var service = await BenchService.StartAsync();
        string kernel = await service.UploadKernelAsync("halts", IdleImage.Bytes());
        string stays = await MakeAsync(service, kernel, "stays");
        await Task.Delay(s_watched);
        yield return Memory(service, "before, 1 VM");

        long start = Stopwatch.GetTimestamp();
        int round = 0;
        (double Resident, double Private) most = default;
        using var over = new CancellationTokenSource();
        var following = FollowAsync(service, over.Token);
        while (Stopwatch.GetElapsedTime(start) < time)
        {
            round++;
            string[] vms = await Task.WhenAll(
                Enumerable.Range(0, MachinesOfARound).Select(i => MakeAsync(service, kernel, $"round-{round}-{i}")));
            var viewers = await Task.WhenAll(vms.Append(stays).Select(vm => ConsoleViewer.WatchAsync(service, vm)));
            for (int i = 0; i < ReadsOfARound; i++)
            {
                await service.SendAsync(HttpMethod.Get, "/api/v1/vms?limit=1000");
                await service.SendAsync(HttpMethod.Get, $"/api/v1/vms/{vms[i % vms.Length]}/metrics");
                await service.SendAsync(HttpMethod.Get, "/api/v1/operations?limit=100");
            }

            await Task.Delay(s_watched);
            var now = HostProcess.Memory(service.ProcessId);
            most = now.Resident > most.Resident ? now : most;
            await Task.WhenAll(viewers.Select(viewer => viewer.DisposeAsync().AsTask()));
            await Task.WhenAll(vms.Select(vm => service.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{vm}?force=true&wait=60")));
        }

        await over.CancelAsync();
        await following;
        string used = $"{Stopwatch.GetElapsedTime(start).TotalMinutes:f0} minutes of use";
        yield return new(
            $"most with {MachinesOfARound + 1} VMs that are watched: resident", most.Resident / Mebibyte, "MiB",
            $"private {most.Private / Mebibyte:f0} MiB, {round} rounds");
        yield return Memory(service, $"behind {used}, 1 VM");
        await Task.Delay(s_rest);
        yield return Memory(service, $"and {s_rest.TotalMinutes:f0} minutes later");
    }

    private static Measurement Memory(BenchService service, string when)
    {
        var (resident, own) = HostProcess.Memory(service.ProcessId);
        return new($"{when}: resident", resident / Mebibyte, "MiB", $"private {own / Mebibyte:f0} MiB");
    }

    private static async Task<string> MakeAsync(BenchService service, string kernel, string name)
    {
        string vm = await service.CreateAsync(
            new { name, engine = "soft", memory = 64L << 20, labels = new { round = name }, boot = new { kernel } });
        await service.PowerAsync(vm, "on");
        return vm;
    }

    private static async Task FollowAsync(BenchService service, CancellationToken over)
    {
        try
        {
            using var request = new HttpRequestMessage(
                HttpMethod.Get, "/api/v1/events") { Headers = { { "Accept", "text/event-stream" } } };
            using var answer = await service.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, over);
            await using var events = await answer.Content.ReadAsStreamAsync(over);
            byte[] buffer = new byte[64 * 1024];
            while (await events.ReadAsync(buffer, over) > 0)
            {
            }
        }
        catch (OperationCanceledException)
        {
        }
    }
}
