using System.Diagnostics;
using WebVm.Benchmarks.Console;

namespace WebVm.Benchmarks.Service;

/// <summary>
/// What a machine costs beyond the memory that its guest has: an idle Linux of 512 MiB in the monitor, beside QEMU with the same kernel and
/// devices of the same kind; and what the service costs.
/// </summary>
internal sealed class MemoryBenchmark : IBenchmark
{
    private const long GuestMemory = 512L << 20;
    private const double Mebibyte = 1 << 20;
    private const int ManyVms = 20;
    private const string CommandLine = "console=ttyS0 quiet";
    private static readonly TimeSpan s_rest = TimeSpan.FromSeconds(8);

    public string Name => "memory";

    public IEnumerable<Measurement> Run() => MeasureAsync().ToBlockingEnumerable();

    private static async IAsyncEnumerable<Measurement> MeasureAsync()
    {
        await using var service = await BenchService.StartAsync();
        await Task.Delay(s_rest);
        yield return OfService(service, "no VM");

        string vm = await service.CreateAsync(
            new { name = "idle", engine = "soft", memory = GuestMemory, boot = new { image = "tiny", commandLine = CommandLine } });
        await service.PowerAsync(vm, "on");
        await using (var output = await service.Client.GetStreamAsync($"/api/v1/vms/{vm}/serial?follow=true"))
        {
            await new GuestShell(output, _ => Task.CompletedTask).ReadyAsync();
        }

        await Task.Delay(s_rest);
        var ours = BeyondGuest(service.Monitors().Single(), "memfd:guest-");
        var theirs = await QemuAsync();
        yield return new(
            "process of an idle Linux, 512 MiB: resident beyond", ours.Resident / Mebibyte, "MiB", "without the guest's memory",
            theirs.Resident / Mebibyte);
        yield return new(
            "process of an idle Linux, 512 MiB: private beyond", ours.Private / Mebibyte, "MiB", "", theirs.Private / Mebibyte);
        yield return OfService(service, "1 VM");

        string kernel = await service.UploadKernelAsync("halts", IdleImage.Bytes());
        for (int i = 1; i < ManyVms; i++)
        {
            await service.PowerAsync(
                await service.CreateAsync(new { name = $"many-{i}", engine = "soft", memory = 64L << 20, boot = new { kernel } }), "on");
        }

        await Task.Delay(s_rest);
        yield return OfService(service, $"{ManyVms} VMs");
        int[] monitors = service.Monitors();
        yield return new(
            $"private beyond guest memory, mean of {monitors.Length} processes",
            monitors.Average(process => BeyondGuest(process, "memfd:guest-").Private) / Mebibyte, "MiB",
            "all but one halted from the start");
    }

    private static Measurement OfService(BenchService service, string when)
    {
        var (resident, own) = HostProcess.Memory(service.ProcessId);
        return new($"service with {when}: resident", resident / Mebibyte, "MiB", $"private {own / Mebibyte:f0} MiB");
    }

    private static (double Resident, double Private) BeyondGuest(int process, string guestMemory)
    {
        var all = HostProcess.Memory(process);
        var guest = HostProcess.Memory(process, guestMemory);
        return (all.Resident - guest.Resident, all.Private - guest.Private);
    }

    private static async Task<(double Resident, double Private)> QemuAsync()
    {
        string image = Path.Combine(Guests.Catalogue, "tiny");
        string[] arguments =
        [
            "-accel", "tcg", "-m", $"{GuestMemory >> 20}M", "-object", $"memory-backend-memfd,id=ram,size={GuestMemory >> 20}M", "-machine",
            "memory-backend=ram",
            "-nodefaults", "-vga", "std", "-display", "none", "-no-reboot", "-serial", "stdio",
            "-kernel", Path.Combine(image, "vmlinuz"), "-initrd", Path.Combine(image, "initramfs"), "-append", CommandLine,
        ];
        using var process = Process.Start(
            new ProcessStartInfo("qemu-system-x86_64", arguments) { RedirectStandardInput = true, RedirectStandardOutput = true })!;
        try
        {
            await new GuestShell(process.StandardOutput.BaseStream, _ => Task.CompletedTask).ReadyAsync();
            await Task.Delay(s_rest);
            return BeyondGuest(process.Id, "memory-backend-memfd");
        }
        finally
        {
            process.Kill();
            await process.WaitForExitAsync();
        }
    }
}
