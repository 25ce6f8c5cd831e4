using System.Globalization;
using WebVm.Vmm.Machine.Saving;
using WebVm.Vmm.Machine.Spec;
using Xunit;

namespace WebVm.Guest.Tests;

/// <summary>Linux and the power states of a PCI function.</summary>
public sealed class DevicePowerTests : IDisposable
{
    private const int PowerManagement = 1;
    private const string Display = "/sys/bus/pci/devices/$(basename $(dirname $(grep -l 0x1234 /sys/bus/pci/devices/*/vendor)))/config";

    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-power").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Linux_puts_the_display_to_sleep_and_wakes_it_also_after_a_restore()
    {
        var spec = new MachineSpec
        {
            Engine = EngineChoice.Soft,
            Memory = 256UL << 20,
            Display = new DisplaySpec(1024, 768),
            Boot = Images.Linux("tiny", "console=tty0 console=ttyS0 quiet", "vmlinuz"),
        };
        string saved = Path.Combine(_folder, "state");
        int control;
        await using (var guest = await GuestSession.Start(spec))
        {
            guest.WaitForShell();
            byte[] config = Read(guest, 0, 256);
            int capability = config[0x34];
            while (config[capability] != PowerManagement)
            {
                capability = config[capability + 1];
                Assert.NotEqual(0, capability);
            }

            Assert.Equal(0x0003, config[capability + 2] | (config[capability + 3] << 8));
            control = capability + 4;
            Assert.Equal(0x08, config[control]);
            Assert.NotNull(guest.Machine.Framebuffer!.Mode);

            SetPowerState(guest, control, 3);
            Assert.Equal(0x0b, Assert.Single(Read(guest, control, 1)));
            await UntilOn(guest, on: false);
            SetPowerState(guest, control, 0);
            Assert.Equal(0x08, Assert.Single(Read(guest, control, 1)));
            await UntilOn(guest, on: true);
            Assert.Equal(config[0x10..0x28], Read(guest, 0x10, 0x18));

            SetPowerState(guest, control, 3);
            await UntilOn(guest, on: false);
            await StateSaver.Save(guest.Machine, saved);
        }

        await using var restored = await GuestSession.Restore(saved, EngineChoice.Soft);
        Assert.Equal(0x0b, Assert.Single(Read(restored, control, 1)));
        Assert.Null(restored.Machine.Framebuffer!.Mode);
        SetPowerState(restored, control, 0);
        await UntilOn(restored, on: true);
        // The console draws on it again.
        restored.Run("echo Awake-again > /dev/tty0");
        var text = ConsoleText.Read(restored.Machine.Framebuffer!.Capture()!);
        Assert.Contains(text, line => line.Contains("Awake-again", StringComparison.Ordinal));
    }

    private static byte[] Read(GuestSession guest, int offset, int count) =>
    [
        .. guest.Run($"od -An -v -tx1 -j {offset} -N {count} {Display}").Split((char[])[' ', '\n'], StringSplitOptions.RemoveEmptyEntries)
            .Select(text => byte.Parse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture)),
    ];

    private static void SetPowerState(GuestSession guest, int control, int state) =>
        Assert.Equal("", guest.Run($"printf '\\{state:d3}' | dd of={Display} bs=1 seek={control} conv=notrunc 2>/dev/null"));

    private static async Task UntilOn(GuestSession guest, bool on)
    {
        for (int i = 0; guest.Machine.Framebuffer!.Mode is not null != on; i++)
        {
            Assert.True(i < 1000, $"The display does not go {(on ? "on" : "off")}.");
            await Task.Delay(10);
        }
    }
}
