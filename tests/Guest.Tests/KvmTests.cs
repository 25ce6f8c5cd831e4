using System.Diagnostics;
using WebVm.Vmm.Cpu.Measurement;
using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Machine.Saving;
using WebVm.Vmm.Machine.Spec;
using Xunit;

namespace WebVm.Guest.Tests;

/// <summary>Guests on the host's KVM. Minutes each where KVM emulates privileged code, as on the build machines.</summary>
[Trait("category", "kvm")]
public sealed class KvmTests(ITestOutputHelper output)
{
    [Theory(Explicit = true)]
    [InlineData(1)]
    [InlineData(4)]
    public async Task Debians_cloud_kernel_reaches_a_shell_on_kvm_and_powers_off(int cpus)
    {
        SkipUnlessProgramsRun();
        var watch = Stopwatch.StartNew();
        await using var guest = await GuestSession.Start(
            new MachineSpec { Engine = EngineChoice.Kvm, Cpus = cpus, Memory = 256UL << 20, Boot = Images.Linux("tiny", "console=ttyS0") },
            seconds: 1500);
        guest.WaitForShell();
        output.WriteLine(
            $"{cpus} vCPUs: shell after {watch.Elapsed.TotalSeconds:f0} s, {guest.Machine.Counters.Sum(counters => counters.Assists)} assists, "
            + $"{guest.Machine.Counters.Sum(counters => counters.PortExits)} port exits");
        Assert.Equal($"{cpus}", guest.Run("nproc"));
        guest.Type("poweroff\n");
        var exit = await guest.WaitForExit();
        Assert.Equal((ExitKind.PowerOff, 0), (exit.Kind, exit.Code));
        output.WriteLine($"off after {watch.Elapsed.TotalSeconds:f0} s");
    }

    /// <summary>On a host whose KVM emulates kernels without SYSCALL no init can run.</summary>
    internal static void SkipUnlessProgramsRun() =>
        Assert.SkipUnless(
            KvmProbe.TakesSystemCalls(), "This host's KVM leaves user code at CPL 3 after SYSCALL: no system's programs run on it.");

    /// <summary>Even a host whose KVM runs no programs runs this much of a kernel.</summary>
    [Theory(Explicit = true)]
    [InlineData("Memory: ")]
    [InlineData("smp: Brought up 1 node")]
    public async Task A_kernel_that_began_on_kvm_comes_to_its_shell_on_soft(string reached)
    {
        string folder = Directory.CreateTempSubdirectory("webvm-kvm").FullName;
        try
        {
            string saved = Path.Combine(folder, "state");
            var watch = Stopwatch.StartNew();
            await using (var onKvm = await GuestSession.Start(
                new MachineSpec { Engine = EngineChoice.Kvm, Memory = 256UL << 20, Boot = Images.Linux(
                    "tiny", "console=ttyS0 nokaslr nowatchdog clearcpuid=avx512f") },
                seconds: 1500))
            {
                onKvm.WaitFor(reached);
                Assert.Equal("kvm", onKvm.Machine.EngineName);
                await StateSaver.Save(onKvm.Machine, saved);
                output.WriteLine(
                    $"'{reached}' on kvm and saved after {watch.Elapsed.TotalSeconds:f0} s, {onKvm.Machine.Counters.Sum(counters => counters.Assists)} assists");
            }

            await using var onSoft = await GuestSession.Restore(saved, EngineChoice.Soft);
            Assert.Equal("soft", onSoft.Machine.EngineName);
            onSoft.WaitForShell();
            Assert.Equal("42", onSoft.Run("echo $((6*7))"));
            output.WriteLine($"shell on soft after {watch.Elapsed.TotalSeconds:f0} s");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>
    /// The terminal's echo is the kernel's own work (interrupt, work queue, line discipline), so that it shows a session going on also on
    /// hosts whose KVM runs no programs; the program in the foreground sleeps through it.
    /// </summary>
    [Fact(Explicit = true)]
    public async Task A_session_saved_on_soft_echoes_on_kvm_and_goes_on_back_on_soft()
    {
        string folder = Directory.CreateTempSubdirectory("webvm-kvm").FullName;
        try
        {
            string saved = Path.Combine(folder, "state");
            var watch = Stopwatch.StartNew();
            await using (var guest = await GuestSession.Start(
                new MachineSpec { Engine = EngineChoice.Soft, Memory = 256UL << 20, Boot = Images.Linux(
                    "tiny", "console=ttyS0 quiet nowatchdog") }))
            {
                guest.WaitForShell();
                guest.Run("answer=42");
                guest.Type("sleep 1000000\n");
                guest.WaitFor("sleep 1000000");
                await Task.Delay(2000);
                await StateSaver.Save(guest.Machine, saved);
            }

            await using (var onKvm = await GuestSession.Restore(saved, EngineChoice.Kvm, seconds: 300))
            {
                Assert.Equal("kvm", onKvm.Machine.EngineName);
                onKvm.Type("written on kvm");
                onKvm.WaitFor("written on kvm");
                output.WriteLine(
                    $"echo on kvm after {watch.Elapsed.TotalSeconds:f0} s, {onKvm.Machine.Counters.Sum(counters => counters.Assists)} assists, "
                    + $"{onKvm.Machine.Counters.Sum(counters => counters.PortExits)} port exits");
                await StateSaver.Save(onKvm.Machine, saved);
            }

            await using var back = await GuestSession.Restore(saved, EngineChoice.Soft);
            back.Type("\x03");
            back.WaitFor("tiny:/root#");
            Assert.Equal("42", back.Run("echo $answer"));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
