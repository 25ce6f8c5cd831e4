using System.Diagnostics;

namespace WebVm.Benchmarks.Service;

/// <summary>
/// What walls and keeper add to the start of a process: the monitor's program, told to end at once, alone and kept at each level that this
/// host has, in turn.
/// </summary>
internal sealed class KeeperBenchmark : IBenchmark
{
    private const int Starts = 1000;
    private const int WarmUps = 20;

    /// <summary>The role of the program that ends at once; `serve` would not come to its end by itself.</summary>
    private const string Idle = "stand";

    public string Name => "keeper";

    public IEnumerable<Measurement> Run()
    {
        string folder = Directory.CreateTempSubdirectory("webvm-bench-").FullName;
        try
        {
            (string Level, string[] Options)[] levels = Environment.IsPrivilegedProcess
                ? [("users", ["--user", "2000000001"]), ("namespaces", []), ("process", []), ("none", [])]
                : [("namespaces", []), ("process", []), ("none", [])];
            List<double> alone = [];
            var kept = levels.ToDictionary(level => level.Level, _ => new List<double>());
            for (int start = 0; start < WarmUps + Starts; start++)
            {
                alone.Add(Time(Idle));
                foreach (var (level, options) in levels)
                {
                    string run = Directory.CreateDirectory(Path.Combine(folder, $"{level}-{start}")).FullName;
                    kept[level].Add(Time(["keep", "--folder", run, "--level", level, .. options, "--", Idle]));
                    string exit = File.ReadAllText(Path.Combine(run, "exit")).Trim();
                    if (exit != "0")
                    {
                        throw new InvalidOperationException($"A program that is kept by {level} ends with {exit}.");
                    }
                }
            }

            var without = new Samples(alone.Skip(WarmUps));
            yield return new(
                "a process that ends at once, alone, p50", without.P50, "ms", $"{Starts} starts, in turn; p99 {without.P99:f1} ms");
            foreach (var (level, times) in kept)
            {
                var with = new Samples(times.Skip(WarmUps));
                yield return new(
                    $"more when kept at level {level}, p50", with.P50 - without.P50, "ms",
                    $"to the keeper's own end, what it writes down included; at p99 {with.P99 - without.P99:f1} ms more");
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static double Time(params string[] arguments)
    {
        long start = Stopwatch.GetTimestamp();
        using var process = Process.Start(
            new ProcessStartInfo(
                TinyLinux.Monitor, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true,
                    RedirectStandardError = true })!;
        process.WaitForExit();
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }
}
