using System.Diagnostics;
using System.Globalization;

namespace WebVm.Benchmarks;

/// <summary>
/// Processor time of the host that an idle Linux takes, at its shell; beside QEMU's software emulation of the same files. With a display
/// the guest's console blinks its cursor: under QEMU the same console on the same kind of framebuffer has to be had by UEFI, and with its
/// own BIOS the guest takes text mode, whose cursor blinks by itself.
/// </summary>
internal sealed class IdleBenchmark : IBenchmark
{
    private const string CommandLine = "console=ttyS0 quiet";
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(3);
    private static readonly TimeSpan s_settling = TimeSpan.FromSeconds(8);
    private static readonly TimeSpan s_measured = TimeSpan.FromSeconds(20);

    public string Name => "idle";

    public IEnumerable<Measurement> Run() => WithoutDisplay().Concat(WithDisplay());

    /// <summary>As the service makes machines, with nobody looking.</summary>
    private static IEnumerable<Measurement> WithDisplay()
    {
        string serial = Path.GetTempFileName();
        string vnc = Path.Combine(Path.GetTempPath(), $"webvm-idle-{Environment.ProcessId}.vnc");
        const string commandLine = $"console=tty0 {CommandLine}";
        var (ours, threads, switches) = Measure(
            serial, TinyLinux.Monitor, "run", "--engine", "soft", "--memory", "512M", "--display", "1024x768", "--kernel", TinyLinux.Kernel,
            "--initrd", TinyLinux.Initramfs, "--append", commandLine, "--serial", $"file:{serial}");
        yield return new("soft engine, 1 vCPU, display", ours, "ms/s", $"{switches:f0} wake-ups/s: {threads}");
        foreach (var (screen, firmware) in new[] { ("framebuffer (UEFI)", (string[])["-bios", "/usr/share/ovmf/OVMF.fd"]),
            ("text mode (BIOS)", []) })
        {
            var (theirs, _, theirSwitches) = Measure(
                serial, "qemu-system-x86_64", ["-accel", "tcg", "-m", "512M", "-nodefaults", "-vga", "std", "-vnc", $"unix:{vnc}",
                    "-no-reboot",
                "-serial", $"file:{serial}", "-kernel", TinyLinux.CompressedKernel, "-initrd", TinyLinux.Initramfs, "-append", commandLine,
                .. firmware]);
            yield return new($"QEMU -accel tcg, 1 vCPU, -vga std, {screen}", theirs, "ms/s", $"{theirSwitches:f0} wake-ups/s");
        }

        File.Delete(serial);
    }

    private static IEnumerable<Measurement> WithoutDisplay()
    {
        foreach (int cpus in (int[])[1, 4])
        {
            string serial = Path.GetTempFileName();
            var (ours, threads, switches) = Measure(
                serial, TinyLinux.Monitor, "run", "--engine", "soft", "--cpus", $"{cpus}", "--memory", "512M", "--kernel", TinyLinux.Kernel,
                "--initrd", TinyLinux.Initramfs, "--append", CommandLine, "--serial", $"file:{serial}");
            var (theirs, _, theirSwitches) = Measure(
                serial, "qemu-system-x86_64", "-accel", "tcg", "-smp", $"{cpus}", "-m", "512M", "-nodefaults", "-display", "none",
                "-no-reboot",
                "-serial", $"file:{serial}", "-kernel", TinyLinux.Kernel, "-initrd", TinyLinux.Initramfs, "-append", CommandLine);
            File.Delete(serial);
            yield return new($"soft engine, {cpus} vCPU{(cpus > 1 ? "s" : "")}", ours, "ms/s", $"{switches:f0} wake-ups/s: {threads}");
            yield return new($"QEMU -accel tcg, {cpus} vCPU{(cpus > 1 ? "s" : "")}", theirs, "ms/s", $"{theirSwitches:f0} wake-ups/s");
        }
    }

    /// <summary>
    /// Milliseconds of processor time a second, the threads that took the most of it, and how often a second threads woke up.
    /// </summary>
    private static (double Milliseconds, string Threads, double Switches) Measure(string serial, string program, params string[] arguments)
    {
        File.WriteAllText(serial, "");
        using var process = Process.Start(
            new ProcessStartInfo(program, arguments) { RedirectStandardInput = true, RedirectStandardError = true })!;
        try
        {
            long start = Stopwatch.GetTimestamp();
            while (!File.ReadAllText(serial).Contains(TinyLinux.Ready, StringComparison.Ordinal))
            {
                if (process.HasExited || Stopwatch.GetElapsedTime(start) > s_limit)
                {
                    throw new InvalidOperationException(
                        $"{program} did not bring its guest to a shell: {(process.HasExited ? process.StandardError.ReadToEnd() : "too slow")}");
                }

                Thread.Sleep(100);
            }

            Thread.Sleep(s_settling);
            var before = Threads(process.Id);
            start = Stopwatch.GetTimestamp();
            Thread.Sleep(s_measured);
            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            var used = Threads(process.Id)
                .Select(thread =>
                    (thread.Value.Name, Milliseconds: (thread.Value.Nanoseconds - (before.TryGetValue(thread.Key, out var old)
                        ? old.Nanoseconds
                        : 0)) / 1e6 / seconds,
                    Switches: (thread.Value.Switches - (before.TryGetValue(thread.Key, out old) ? old.Switches : 0)) / seconds))
                .OrderByDescending(thread => thread.Milliseconds).ToList();
            string most = string.Join(", ", used.Take(7).Where(thread => thread.Milliseconds >= 0.01)
                .Select(thread => string.Create(
                    CultureInfo.InvariantCulture, $"{thread.Name} {thread.Milliseconds:f2} ms ({thread.Switches:f0}/s)")));
            return (used.Sum(thread => thread.Milliseconds), most, used.Sum(thread => thread.Switches));
        }
        finally
        {
            process.Kill();
            process.WaitForExit();
        }
    }

    /// <summary>By thread id: name, processor time (schedstat, proc(5)), and how often it gave its processor up by itself.</summary>
    private static Dictionary<string, (string Name, long Nanoseconds, long Switches)> Threads(int process)
    {
        var threads = new Dictionary<string, (string, long, long)>();
        foreach (string folder in Directory.GetDirectories($"/proc/{process}/task"))
        {
            try
            {
                string switches = File.ReadLines(Path.Combine(folder, "status"))
                    .First(line => line.StartsWith("voluntary_ctxt_switches", StringComparison.Ordinal));
                threads[Path.GetFileName(folder)] = (
                    File.ReadAllText(Path.Combine(folder, "comm")).Trim(),
                    long.Parse(File.ReadAllText(Path.Combine(folder, "schedstat")).Split(' ')[0], CultureInfo.InvariantCulture),
                    long.Parse(switches.AsSpan(switches.IndexOf(':') + 1), NumberStyles.AllowLeadingWhite, CultureInfo.InvariantCulture));
            }
            catch (IOException)
            {
                // The thread has ended since.
            }
        }

        return threads;
    }
}
