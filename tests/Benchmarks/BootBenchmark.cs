using System.Diagnostics;

namespace WebVm.Benchmarks;

/// <summary>
/// From the start of the process to its end, for a guest that boots Debian's cloud kernel to /init and switches off there; beside QEMU's
/// software emulation of the same files, one run each in turn.
/// </summary>
internal sealed class BootBenchmark : IBenchmark
{
    private const int Runs = 3;
    private const string CommandLine = "console=ttyS0 quiet webvm.bench=poweroff";
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(3);

    public string Name => "boot";

    public IEnumerable<Measurement> Run()
    {
        double ours = double.MaxValue;
        double theirs = double.MaxValue;
        for (int run = 0; run < Runs; run++)
        {
            ours = Math.Min(
                ours, Time(
                    TinyLinux.Monitor, "run", "--engine", "soft", "--memory", "512M", "--kernel", TinyLinux.Kernel, "--initrd",
                    TinyLinux.Initramfs, "--append", CommandLine, "--serial", "file:/dev/null"));
            theirs = Math.Min(
                theirs, Time(
                    "qemu-system-x86_64", "-accel", "tcg", "-m", "512M", "-nodefaults", "-display", "none", "-no-reboot", "-serial", "null",
                "-kernel", TinyLinux.Kernel, "-initrd", TinyLinux.Initramfs, "-append", CommandLine));
        }

        yield return new Measurement("soft engine, to /init and off", ours, "s", $"best of {Runs}");
        yield return new Measurement("QEMU -accel tcg, the same", theirs, "s", $"best of {Runs}");
        yield return new Measurement("ratio", ours / theirs, "x");
    }

    private static double Time(string program, params string[] arguments)
    {
        long start = Stopwatch.GetTimestamp();
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardInput = true })!;
        process.StandardInput.Close();
        if (!process.WaitForExit(s_limit))
        {
            process.Kill();
            throw new TimeoutException($"{program} did not end within {s_limit.TotalSeconds} s.");
        }

        return process.ExitCode == 0
            ? Stopwatch.GetElapsedTime(start).TotalSeconds
            : throw new InvalidOperationException($"{program} ended with {process.ExitCode}.");
    }
}
