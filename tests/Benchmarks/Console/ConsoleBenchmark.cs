namespace WebVm.Benchmarks.Console;

/// <summary>
/// The console page beside noVNC at QEMU's VNC server: the same guest, kernel and size of screen, the same browser, the same output.
/// WebVm's soft engine beside -accel tcg. What is seen at the end has to be the same to the pixel.
/// </summary>
internal sealed class ConsoleBenchmark : IBenchmark
{
    public string Name => "console";

    public IEnumerable<Measurement> Run() => MeasureAsync().ToBlockingEnumerable();

    private static async IAsyncEnumerable<Measurement> MeasureAsync()
    {
        var ours = await OfAsync(async () => await WebVmSide.StartAsync());
        var theirs = await OfAsync(async () => await QemuSide.StartAsync());
        yield return new("key to changed pixels, p50", ours.Latencies.P50, "ms", $"{ours.Latencies.Count} keys", theirs.Latencies.P50);
        yield return new("key to changed pixels, p99", ours.Latencies.P99, "ms", "", theirs.Latencies.P99);
        yield return new(
            $"{ConsoleGuest.Works[0].Name}, nobody watching", ours.Unwatched, "s", "the engine's speed shows", theirs.Unwatched);
        foreach (var (work, our, their) in ConsoleGuest.Works.Zip(ours.Works, theirs.Works))
        {
            if (our.Screen != their.Screen)
            {
                throw new InvalidOperationException($"After \"{work.Name}\" the screens differ: {our.Screen} beside {their.Screen}.");
            }

            yield return new(
                work.Name, our.Seconds, "s", work.Paced ? "the guest waits between changes" : "the engine's speed shows", their.Seconds);
            yield return new("  frames painted", our.Fps, "fps", $"{our.Frames:f0} beside {their.Frames:f0}", their.Fps);
            yield return new("  received, a second", our.Bytes / our.Seconds / 1024, "KiB/s", "", their.Bytes / their.Seconds / 1024);
            yield return new("  received, all", our.Bytes / 1024, "KiB", "", their.Bytes / 1024);
            yield return new("  processor time, server side without guest code", our.HostCpu, "s", "", their.HostCpu);
            yield return new("  processor time, browser", our.BrowserCpu, "s", "", their.BrowserCpu);
            yield return new("  processor time, guest code", our.GuestCpu, "s", "", their.GuestCpu);
        }

        yield return new(
            "screens that are the same at the end", ConsoleGuest.Works.Length, $"of {ConsoleGuest.Works.Length}", ours.Works[0].Screen);
    }

    private static async Task<ConsoleResult> OfAsync(Func<Task<IConsoleSide>> start)
    {
        await using var side = await start();
        return await ConsoleResult.MeasureAsync(side);
    }
}
