using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Machine.Profiles;
using WebVm.Vmm.Machine.Saving;
using WebVm.Vmm.Machine.Spec;
using Xunit;

namespace WebVm.Guest.Tests;

/// <summary>Linux and a device behind a root port.</summary>
public sealed class RootPortTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-port").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Linux_works_with_a_display_behind_a_port_also_after_a_restore()
    {
        var spec = new MachineSpec
        {
            Engine = EngineChoice.Soft,
            Memory = 256UL << 20,
            Boot = Images.Linux("tiny", "console=tty0 console=ttyS0 quiet", "vmlinuz"),
            Devices =
            [
                .. Profile.Pc,
                new("empty", "pcie.root-port") { At = "pci:02.0" },
                new("port", "pcie.root-port") { At = "pci:03.0" },
                new("display", "display.bochs") { At = "port:00.0" },
            ],
        };
        string saved = Path.Combine(_folder, "state");
        await using (var guest = await GuestSession.Start(spec))
        {
            guest.WaitForShell();
            Assert.Equal("0000:00:00.0 0000:00:02.0 0000:00:03.0 0000:02:00.0", guest.Run("echo $(ls /sys/bus/pci/devices)").Trim());
            Assert.Equal("0x1234 0x1111", guest.Run("cd /sys/bus/pci/devices/0000:02:00.0; echo $(cat vendor device); cd /").Trim());
            Assert.Equal("0000:00:03.0", guest.Run("basename $(dirname $(readlink -f /sys/bus/pci/devices/0000:02:00.0))").Trim());
            Assert.Equal("16 24", guest.Run("echo $(ls /sys/bus/pci/slots)").Trim());
            Assert.Equal("0 1", guest.Run("echo $(cat /sys/bus/pci/slots/16/adapter /sys/bus/pci/slots/24/adapter)").Trim());
            Assert.Contains("pcieport", guest.Run("readlink /sys/bus/pci/devices/0000:00:03.0/driver"), StringComparison.Ordinal);
            string log = guest.Run("dmesg");
            Assert.DoesNotContain("can't claim", log, StringComparison.Ordinal);
            Assert.DoesNotContain("no compatible bridge window", log, StringComparison.Ordinal);
            Assert.DoesNotContain("failed to assign", log, StringComparison.Ordinal);
            Draw(guest, "Drawn-behind-a-port");
            await StateSaver.Save(guest.Machine, saved);
        }

        await using var restored = await GuestSession.Restore(saved, EngineChoice.Soft);
        Draw(restored, "Drawn-again");
        // The slot is switched off, which takes the device away, and on.
        restored.Run("echo 0 > /sys/bus/pci/slots/24/power");
        Assert.Equal("0000:00:00.0 0000:00:02.0 0000:00:03.0", restored.Run("echo $(ls /sys/bus/pci/devices)").Trim());
        restored.Run("echo 1 > /sys/bus/pci/slots/24/power");
        Assert.Equal("0000:00:00.0 0000:00:02.0 0000:00:03.0 0000:02:00.0", restored.Run("echo $(ls /sys/bus/pci/devices)").Trim());
    }

    private static void Draw(GuestSession guest, string text)
    {
        guest.Run($"echo {text} > /dev/tty0");
        var screen = ConsoleText.Read(guest.Machine.Framebuffer!.Capture()!);
        Assert.Contains(screen, line => line.Contains(text, StringComparison.Ordinal));
    }
}
