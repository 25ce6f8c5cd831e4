using WebVm.Vmm.Devices;
using WebVm.Vmm.Machine.Profiles;
using WebVm.Vmm.Machine.Saving;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Memory;
using Xunit;

namespace WebVm.Guest.Tests;

/// <summary>Linux on the chipset that firmware knows, booted directly.</summary>
public sealed class ChipsetTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-chipset").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Linux_finds_the_map_that_direct_boot_sets_by_registers_also_after_a_restore()
    {
        string saved = Path.Combine(_folder, "state");
        await using (var guest = await GuestSession.Start(new MachineSpec
        {
            Engine = EngineChoice.Soft,
            Memory = 256UL << 20,
            Boot = Images.Linux("tiny", "console=ttyS0 quiet"),
            Display = new DisplaySpec(),
            Devices = [.. Profile.Pc.Select(device => device.Id == "pci" ? device.WithSettings("""{"chipset":"q35"}""") : device)],
        }))
        {
            guest.WaitForShell();
            Assert.Equal("0x8086 0x29c0", guest.Run("cd /sys/bus/pci/devices/0000:00:00.0; echo $(cat vendor device); cd /").Trim());
            string iomem = guest.Run("cat /proc/iomem");
            Assert.Contains("c0000000-dfffffff : PCI Bus 0000:00", iomem, StringComparison.Ordinal);
            Assert.Contains("f0000000-febfffff : PCI Bus 0000:00", iomem, StringComparison.Ordinal);
            Assert.Matches(@"e0000000-efffffff : PCI (ECAM|MMCONFIG) 0000", iomem);
            string log = guest.Run("dmesg");
            Assert.DoesNotContain("can't claim", log, StringComparison.Ordinal);
            Assert.DoesNotContain("address conflict", log, StringComparison.Ordinal);
            // Extended configuration space is there: by the window, not by ports.
            Assert.Equal("4096", guest.Run("wc -c < /sys/bus/pci/devices/0000:00:01.0/config").Trim());

            // As firmware would, while the guest runs: a segment of the ROMs away and back, again and again, and the configuration window
            // elsewhere.
            string write = "dd of=/sys/bus/pci/devices/0000:00:00.0/config bs=1 conv=notrunc 2>/dev/null";
            string toggled = guest.Run(
                $@"for i in $(seq 50); do printf '\000' | {write} seek=145; printf '\063' | {write} seek=145; done; printf '\021' | {write} seek=145; echo all");
            Assert.Equal("all", toggled.Trim());
            Assert.Equal(BackingKind.WritesToBus, guest.Machine.Platform.Memory.Resolve(new(0xc_4000)).Kind);
            guest.Run($@"printf '\260' | {write} seek=99");
            Assert.Equal(0xb000_0000UL, guest.Machine.Platform.Devices.All<IAddressMap>().Single().Map.Ecam!.Base);
            Assert.Equal("0xffffffff", Extended(guest));
            guest.Run($@"printf '\340' | {write} seek=99");
            Assert.Equal("0x00000000", Extended(guest));
            await StateSaver.Save(guest.Machine, saved);
        }

        await using var restored = await GuestSession.Restore(saved, EngineChoice.Soft);
        Assert.Equal("4096", restored.Run("wc -c < /sys/bus/pci/devices/0000:00:01.0/config").Trim());
        Assert.Equal("0x8086", restored.Run("cat /sys/bus/pci/devices/0000:00:00.0/vendor").Trim());
        Assert.Equal("0x00000000", Extended(restored));
        Assert.Equal(BackingKind.WritesToBus, restored.Machine.Platform.Memory.Resolve(new(0xc_4000)).Kind);
    }

    /// <summary>The first register of the display beyond those that ports reach.</summary>
    private static string Extended(GuestSession guest) =>
        "0x" + guest.Run("dd if=/sys/bus/pci/devices/0000:00:01.0/config bs=4 skip=64 count=1 2>/dev/null | od -An -tx4").Trim();
}
