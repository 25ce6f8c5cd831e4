using System.Diagnostics;
using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Machine.Spec;
using Xunit;

namespace WebVm.Guest.Tests;

/// <summary>
/// A kernel that finds no init panics. Whether the machine has crashed is what the guest tells by pvpanic; what it prints is only read.
/// </summary>
public sealed class PanicTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("webvm-panic-");

    public void Dispose() => _folder.Delete(recursive: true);

    [Fact]
    public async Task With_pvpanics_driver_the_machine_ends_as_crashed_with_the_panic_on_screen_and_serial_line()
    {
        await using var guest = await GuestSession.Start(Spec(Initramfs(
            "insmod /modules/pvpanic.ko; insmod /modules/pvpanic-mmio.ko; echo loaded; mount -t tmpfs none /new; exec switch_root /new "
            + "/sbin/init",
            "pvpanic", "pvpanic-mmio")));
        guest.WaitFor("loaded");
        guest.WaitFor("Kernel panic - not syncing");
        var exit = await guest.WaitForExit();
        Assert.Equal((ExitKind.Crash, "the guest crashed: its kernel panicked"), (exit.Kind, exit.Message));
        Assert.Contains(guest.Events, happened => happened.Kind == MachineEventKind.Panic);
        var screen = ConsoleText.Read(guest.Machine.Framebuffer!.Capture()!);
        Assert.Contains(screen, line => line.Contains("Kernel panic - not syncing", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Without_it_the_machine_runs_on_whatever_the_kernel_prints()
    {
        // The line that the kernel waits behind, for ever.
        await using var guest = await GuestSession.Start(Spec(Initramfs("mount -t tmpfs none /new; exec switch_root /new /sbin/init")));
        guest.WaitFor("end Kernel panic - not syncing");
        Assert.Equal(MachineState.Running, guest.Machine.State);
        Assert.DoesNotContain(guest.Events, happened => happened.Kind is MachineEventKind.Panic or MachineEventKind.Exit);
    }

    [Fact]
    public async Task A_kernel_that_is_told_to_restart_after_its_panic_does_so_without_pvpanic()
    {
        await using var guest = await GuestSession.Start(Spec(Initramfs("exec /nothing"), "panic=1"));
        guest.WaitFor("Kernel panic - not syncing");
        guest.WaitFor("Linux version");
        Assert.Contains(guest.Events, happened => happened.Kind == MachineEventKind.Reset);
        Assert.DoesNotContain(guest.Events, happened => happened.Kind is MachineEventKind.Panic or MachineEventKind.Exit);
    }

    private static MachineSpec Spec(string initramfs, string more = "") => new()
    {
        Engine = EngineChoice.Soft,
        Memory = 256UL << 20,
        Display = new DisplaySpec(1024, 768),
        Boot = Images.Linux("tiny", $"console=tty0 console=ttyS0 {more}") with { Initrd = initramfs },
    };

    /// <summary>busybox with this as /init, and modules of the same kernel from its package in the cache.</summary>
    private string Initramfs(string init, params string[] modules)
    {
        string package =
            Directory.GetFiles(
                Path.Combine(Path.GetDirectoryName(Images.File("tiny", "initramfs"))!, "..", "..", "packages"),
                "linux-image-*-cloud-amd64_*.deb").Single();
        string copies = string.Join(
            '\n', modules.Select(
                name => $"dpkg-deb --fsys-tarfile '{package}' | tar -xO --wildcards '*/{name}.ko' >root/modules/{name}.ko"));
        File.WriteAllText(Path.Combine(_folder.FullName, "init"), $"#!/bin/sh\n{init}\n");
        using var shell = Process.Start(new ProcessStartInfo("bash",
            [
                "-euc",
                $"""
                rm -rf root && mkdir -p root/modules root/new
                {copies}
                install -m 755 init root/init
                (cd root && find . | cpio --quiet -o -H newc) | cat '{Images.File("tiny", "initramfs")}' - >initramfs
                """,
            ]) { WorkingDirectory = _folder.FullName })!;
        shell.WaitForExit();
        Assert.Equal(0, shell.ExitCode);
        return Path.Combine(_folder.FullName, "initramfs");
    }
}
