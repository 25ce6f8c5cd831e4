using System.Diagnostics;

namespace WebVm.Benchmarks.Service;

/// <summary>
/// From the wish to the guest's first instruction: a Multiboot guest that begins by writing to the serial port. First the monitor's process
/// alone, beside QEMU's; then through the service, in parts.
/// </summary>
internal sealed class StartBenchmark : IBenchmark
{
    private const int Starts = 25;
    private const int WarmUps = 3;
    private const string Memory = "64M";

    public string Name => "start";

    public IEnumerable<Measurement> Run() => MeasureAsync().ToBlockingEnumerable();

    private static async IAsyncEnumerable<Measurement> MeasureAsync()
    {
        string folder = Directory.CreateTempSubdirectory("webvm-bench-").FullName;
        try
        {
            string kernel = Path.Combine(folder, "kernel");
            await File.WriteAllBytesAsync(kernel, IdleImage.Bytes());
            List<double> ours = [];
            List<double> theirs = [];
            for (int start = 0; start < WarmUps + Starts; start++)
            {
                ours.Add(
                    await ProcessToFirstByteAsync(TinyLinux.Monitor, "run", "--engine", "soft", "--memory", Memory, "--kernel", kernel));
                theirs.Add(
                    await ProcessToFirstByteAsync(
                        "qemu-system-x86_64", "-accel", "tcg", "-m", Memory, "-nodefaults", "-display", "none", "-serial", "stdio",
                        "-kernel", kernel));
            }

            var our = new Samples(ours.Skip(WarmUps));
            var their = new Samples(theirs.Skip(WarmUps));
            yield return new("process to first instruction, p50", our.P50, "ms", $"{Starts} starts, in turn", their.P50);
            yield return new("process to first instruction, p99", our.P99, "ms", "", their.P99);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        await using var service = await BenchService.StartAsync();
        string image = await service.UploadKernelAsync("first", IdleImage.Bytes());
        List<ServiceStart> starts = [];
        for (int start = 0; start < WarmUps + Starts; start++)
        {
            starts.Add(await ThroughServiceAsync(service, image, $"start-{start}"));
        }

        starts.RemoveRange(0, WarmUps);
        (string What, Func<ServiceStart, double> Part)[] parts =
        [
            ("POST of the VM", start => start.Created),
            ("PUT of its power, answered", start => start.Accepted),
            ("request to machine spec on disk", start => start.Spec),
            ("spec to process of its own, unprivileged", start => start.Process),
            ("process to control socket: runtime, assembly", start => start.Socket),
            ("socket to first instruction, seen by the client", start => start.FirstByte),
            ("POST to first instruction, all", start => start.Created + start.Spec + start.Process + start.Socket + start.FirstByte),
        ];
        foreach (var (what, part) in parts)
        {
            var samples = new Samples(starts.Select(part));
            yield return new(what, samples.P50, "ms", $"p50 of {samples.Count}; p99 {samples.P99:f1} ms");
        }
    }

    private static async Task<double> ProcessToFirstByteAsync(string program, params string[] arguments)
    {
        long start = Stopwatch.GetTimestamp();
        using var process = Process.Start(
            new ProcessStartInfo(program, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true })!;
        byte[] said = new byte[1];
        int count = await process.StandardOutput.BaseStream.ReadAsync(said);
        double milliseconds = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        process.Kill();
        await process.WaitForExitAsync();
        return count == 1 && said[0] == 'R' ? milliseconds : throw new InvalidOperationException($"{program} did not run the guest.");
    }

    /// <summary>One VM made, started and deleted. The files of its run say when what was there.</summary>
    private static async Task<ServiceStart> ThroughServiceAsync(BenchService service, string kernel, string name)
    {
        long posted = Stopwatch.GetTimestamp();
        string vm = await service.CreateAsync(new { name, memory = 64L << 20, engine = "soft", boot = new { kernel } });
        double created = Stopwatch.GetElapsedTime(posted).TotalMilliseconds;
        await using var serial = await service.Client.GetStreamAsync($"/api/v1/vms/{vm}/serial?follow=true");
        byte[] said = new byte[1];
        var first = serial.ReadAsync(said).AsTask();
        var asked = DateTime.UtcNow;
        await service.SendAsync(HttpMethod.Put, $"/api/v1/vms/{vm}/power", new { action = "on" });
        var accepted = DateTime.UtcNow;
        await first;
        var seen = DateTime.UtcNow;
        string run = Directory.GetDirectories(Path.Combine(service.Data, "run")).Single();
        var spec = File.GetLastWriteTimeUtc(Path.Combine(run, "machine.json"));
        var socket = File.GetLastWriteTimeUtc(Path.Combine(run, "control"));
        var process = File.GetLastWriteTimeUtc(Path.Combine(run, "process"));
        await serial.DisposeAsync();
        await service.SendAsync(HttpMethod.Delete, $"/api/v1/vms/{vm}?force=true&wait=60");
        return new ServiceStart(
            created, Between(asked, accepted), Between(asked, spec), Between(spec, socket), Between(socket, process),
            Between(process, seen));
    }

    private static double Between(DateTime from, DateTime to) => (to - from).TotalMilliseconds;

    /// <summary>Milliseconds; each part but the first two begins where the one before ended.</summary>
    private sealed record ServiceStart(double Created, double Accepted, double Spec, double Process, double Socket, double FirstByte);
}
