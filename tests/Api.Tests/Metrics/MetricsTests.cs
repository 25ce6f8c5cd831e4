using System.Diagnostics;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using WebVm.Api.Tests.Console;
using Xunit;

namespace WebVm.Api.Tests.Metrics;

public sealed partial class MetricsTests(SharedService shared)
{
    [Fact]
    public async Task A_watched_VM_counts_frames_and_bytes_beside_CPU_exits_and_memory()
    {
        string path = await StartAsync();
        await using var viewer = await HubClient.ConnectAsync(shared.Service.Address, ServiceProcess.AdminToken);
        Assert.Null(await viewer.InvokeAsync("OpenDisplay", Guid.Parse(path[(path.LastIndexOf('/') + 1)..]).ToString(), true));
        await viewer.AwaitAsync("frame");
        var sample = await AwaitSampleAsync(path, sample => (long)sample["console"]!["frames"]! > 0);
        Assert.True((long)sample["console"]!["bytes"]! > 0);
        Assert.True((double)sample["framesPerSecond"]! >= 0);
        Assert.True((double)sample["consoleBytesPerSecond"]! >= 0);
        Assert.True((long)sample["residentBytes"]! > 0);
        Assert.True((double)sample["cpuSeconds"]! > 0);

        string text = await shared.Client.GetStringAsync("/metrics", Rest.Cancellation);
        string name = (string)(await shared.Client.SendAsync(HttpMethod.Get, path)).Body!["name"]!;
        Assert.True(Value(text, "webvm_vm_cpu_seconds_total", name) > 0);
        Assert.True(Value(text, "webvm_vm_resident_memory_bytes", name) > 0);
        Assert.True(Value(text, "webvm_vm_console_frames_total", name) > 0);
        Assert.True(Value(text, "webvm_vm_console_sent_bytes_total", name) > 0);
        Assert.Contains($"webvm_vcpu_exits_total{{vm=\"{name}\"", text, StringComparison.Ordinal);
        await shared.Client.SendAsync(HttpMethod.Put, path + "/power?wait=60", new { action = "off" });
    }

    /// <summary>Exposition format 0.0.4: each family has HELP and TYPE once, counters end in _total, labels are quoted.</summary>
    [Fact]
    public async Task The_Prometheus_text_is_well_formed()
    {
        string text = await shared.Client.GetStringAsync("/metrics", Rest.Cancellation);
        string? family = null;
        foreach (string line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            if (line.StartsWith("# TYPE ", StringComparison.Ordinal))
            {
                string[] words = line.Split(' ');
                family = words[2];
                Assert.Equal(words[3] == "counter", family.EndsWith("_total", StringComparison.Ordinal));
            }
            else if (!line.StartsWith("# HELP ", StringComparison.Ordinal))
            {
                Assert.Matches(Sample(), line);
                Assert.StartsWith(family + "{", line, StringComparison.Ordinal);
            }
        }

        Assert.NotNull(family);
    }

    private static double Value(string text, string family, string vm) =>
        double.Parse(
            text.Split('\n').Single(line => line.StartsWith($"{family}{{vm=\"{vm}\"", StringComparison.Ordinal)).Split(' ')[1],
            System.Globalization.CultureInfo.InvariantCulture);

    private async Task<string> StartAsync()
    {
        var vm = await shared.Client.CreateVmAsync(IdleGuest.Settings(await IdleGuest.UploadAsync(shared.Client), Rest.NewName()));
        string path = $"/api/v1/vms/{vm["id"]}";
        await shared.Client.SendAsync(HttpMethod.Put, path + "/power?wait=60", new { action = "on" });
        return path;
    }

    private async Task<JsonNode> AwaitSampleAsync(string path, Func<JsonNode, bool> reached)
    {
        for (long start = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(start) < Rest.Patience;)
        {
            var (_, metrics, _) = await shared.Client.SendAsync(HttpMethod.Get, path + "/metrics");
            if (metrics!["samples"]!.AsArray().LastOrDefault() is { } newest && reached(newest))
            {
                return newest;
            }

            await Task.Delay(100, Rest.Cancellation);
        }

        throw new TimeoutException("No sample shows what was expected.");
    }

    [GeneratedRegex("""\A[a-z_]+\{([a-z]+="[^"\\]*",?)+\} [0-9.E+-]+\z""")]
    private static partial Regex Sample();
}
