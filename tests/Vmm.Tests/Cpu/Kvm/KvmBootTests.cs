using System.Diagnostics;
using System.Globalization;
using System.Text;
using WebVm.Vmm.Machine.Assembly;
using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Machine.Spec;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Kvm;

/// <summary>Debian's kernel on KVM, with assists where the host's KVM needs them. Slow on such hosts, so only on request.</summary>
public sealed class KvmBootTests(ITestOutputHelper output)
{
    [Theory(Explicit = true)]
    [InlineData(1)]
    [InlineData(2)]
    public async Task DebiansKernelReachesAShell(int cpus)
    {
        string cache = Environment.GetEnvironmentVariable("WEBVM_CACHE")
            ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache", "webvm");
        string image = Path.Combine(cache, "images", "tiny");
        if (!File.Exists("/dev/kvm") || !File.Exists(Path.Combine(image, "vmlinux")))
        {
            Assert.Skip("Needs /dev/kvm and './webvm image build tiny'.");
        }

        using var machine = MachineAssembly.Assemble(new MachineSpec
        {
            Engine = EngineChoice.Kvm,
            Cpus = cpus,
            Memory = 256UL << 20,
            Boot = new BootSpec
            {
                Kernel = Path.Combine(image, "vmlinux"),
                Initrd = Path.Combine(image, "initramfs"),
                CommandLine = Environment.GetEnvironmentVariable("WEBVM_TEST_APPEND") ?? "console=ttyS0 nokaslr nowatchdog clearcpuid=avx512f",
            },
        });
        var text = new StringBuilder();
        var shell = new TaskCompletionSource();
        var watch = Stopwatch.StartNew();
        string? log = Environment.GetEnvironmentVariable("WEBVM_TEST_LOG");
        long offset = 0;
        byte[] buffer = new byte[4096];
        machine.Serial.Log.Grew += () =>
        {
            int count = machine.Serial.Log.Read(ref offset, buffer);
            offset += count;
            string piece = Encoding.Latin1.GetString(buffer, 0, count);
            text.Append(piece);
            if (text.ToString(Math.Max(0, text.Length - 100), Math.Min(100, text.Length)).Contains("# ", StringComparison.Ordinal))
            {
                shell.TrySetResult();
            }

            if (log is not null)
            {
                File.AppendAllText(log, piece);
            }
        };
        await machine.Start();
        var patience = Task.Delay(TimeSpan.FromMinutes(30), TestContext.Current.CancellationToken);
        await Task.WhenAny(shell.Task, machine.Completion, patience);
        foreach (var counters in machine.Counters)
        {
            output.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"{watch.Elapsed}: {counters.PortExits} port, {counters.MmioExits} MMIO, {counters.Assists} assists, {counters.OtherExits} other exits"));
        }

        output.WriteLine(text.ToString());
        Assert.True(shell.Task.IsCompleted, machine.Exit?.Message ?? "no shell in time");
        machine.Serial.Write("poweroff\n"u8);
        var exit = await machine.Completion.WaitAsync(TimeSpan.FromMinutes(3), TestContext.Current.CancellationToken);
        Assert.Equal(0, exit.Code);
    }
}
