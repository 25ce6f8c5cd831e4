using System.Diagnostics;
using System.Globalization;
using System.Text;
using WebVm.Vmm.Cpu.Measurement;
using WebVm.Vmm.Machine.Assembly;
using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Machine.Spec;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Kvm;

/// <summary>Debian's kernel on KVM, with assists where the host's KVM needs them. Slow on such hosts, so only on request.</summary>
public sealed class KvmBootTests(ITestOutputHelper output)
{
    /// <summary>As far as any host's KVM can take a kernel: all processors up. About two minutes where kernels are emulated.</summary>
    [Theory(Explicit = true)]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Debians_kernel_brings_up_its_processors(int cpus)
    {
        using var boot = new Boot(cpus);
        await boot.RunUntil("smp: Brought up 1 node", TimeSpan.FromMinutes(15), output);
    }

    [Theory(Explicit = true)]
    [InlineData(1)]
    [InlineData(2)]
    public async Task Debians_kernel_reaches_a_shell(int cpus)
    {
        using var boot = new Boot(cpus);
        if (!KvmProbe.TakesSystemCalls())
        {
            Assert.Skip("This host's KVM leaves user code at CPL 3 after SYSCALL: no system's programs run on it.");
        }

        await boot.RunUntil("tiny:/root# ", TimeSpan.FromMinutes(30), output);
        boot.Machine.Serial.Write("poweroff\n"u8);
        var exit = await boot.Machine.Completion.WaitAsync(TimeSpan.FromMinutes(3), TestContext.Current.CancellationToken);
        Assert.Equal(0, exit.Code);
    }

    /// <summary>The tiny image on the kvm engine, its serial output collected.</summary>
    private sealed class Boot : IDisposable
    {
        private readonly StringBuilder _text = new();
        private readonly byte[] _buffer = new byte[4096];
        private readonly TaskCompletionSource _found = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private string _awaited = "";
        private long _offset;

        public Boot(int cpus)
        {
            string cache = Environment.GetEnvironmentVariable("WEBVM_CACHE")
                ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache", "webvm");
            string image = Path.Combine(cache, "images", "tiny");
            if (!File.Exists("/dev/kvm") || !File.Exists(Path.Combine(image, "vmlinux")))
            {
                Assert.Skip("Needs /dev/kvm and './webvm image build tiny'.");
            }

            Machine = MachineAssembly.Assemble(new MachineSpec
            {
                Engine = EngineChoice.Kvm,
                Cpus = cpus,
                Memory = 256UL << 20,
                Boot = new BootSpec
                {
                    Kernel = Path.Combine(image, "vmlinux"),
                    Initrd = Path.Combine(image, "initramfs"),

                    // The soft interpreter, which assists, has no AVX-512; an emulated kernel looks locked up to its watchdogs.
                    CommandLine = "console=ttyS0 nokaslr nowatchdog clearcpuid=avx512f",
                },
            });
        }

        public VirtualMachine Machine { get; }

        public async Task RunUntil(string awaited, TimeSpan patience, ITestOutputHelper output)
        {
            _awaited = awaited;
            Machine.Serial.Log.Grew += Collect;
            var watch = Stopwatch.StartNew();
            await Machine.Start();
            await Task.WhenAny(_found.Task, Machine.Completion, Task.Delay(patience, TestContext.Current.CancellationToken));
            foreach (var counters in Machine.Counters)
            {
                output.WriteLine(string.Create(CultureInfo.InvariantCulture,
                    $"{watch.Elapsed}: {counters.PortExits} port, {counters.MmioExits} MMIO, {counters.Assists} assists, {counters.OtherExits} other exits"));
            }

            Assert.True(_found.Task.IsCompleted, Machine.Exit?.Message ?? $"no '{awaited}' in time");
        }

        public void Dispose() => Machine.Dispose();

        private void Collect()
        {
            int count = Machine.Serial.Log.Read(ref _offset, _buffer);
            _offset += count;
            _text.Append(Encoding.Latin1.GetString(_buffer, 0, count));
            if (_text.ToString(Math.Max(0, _text.Length - 200), Math.Min(200, _text.Length)).Contains(_awaited, StringComparison.Ordinal))
            {
                _found.TrySetResult();
            }
        }
    }
}
