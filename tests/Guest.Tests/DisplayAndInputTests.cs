using WebVm.Vmm.Devices.Display;
using WebVm.Vmm.Devices.Input;
using WebVm.Vmm.Keys;
using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Machine.Spec;
using Xunit;
using WebVm.Vmm.Pictures;

namespace WebVm.Guest.Tests;

public sealed class DisplayAndInputTests
{
    private static readonly string[] s_drivers =
        ["drm", "drm_kms_helper", "ttm", "drm_ttm_helper", "drm_vram_helper", "bochs", "psmouse", "qemu_fw_cfg", "pvpanic", "pvpanic-mmio"];

    [Fact]
    public async Task The_kernel_finds_the_display_again_after_removing_it()
    {
        await using var guest = await GuestSession.Start(new MachineSpec
        {
            Engine = EngineChoice.Soft,
            Memory = 256UL << 20,
            Display = new DisplaySpec(800, 600),
            Boot = Images.Linux("tiny", "console=tty0 console=ttyS0 quiet", "vmlinuz"),
        });
        guest.WaitForShell();
        Assert.Equal("0 EFI VGA", guest.Run("cat /proc/fb"));
        // Enumerating again means sizing the BARs while the console draws into one of them.
        string resources = guest.Run("cat /sys/bus/pci/devices/0000:00:01.0/resource");
        guest.Run("echo 1 > /sys/bus/pci/devices/0000:00:01.0/remove");
        Assert.Equal("0000:00:00.0", guest.Run("ls /sys/bus/pci/devices"));
        guest.Run("echo 1 > /sys/bus/pci/rescan");
        Assert.Equal(resources, guest.Run("cat /sys/bus/pci/devices/0000:00:01.0/resource"));
        Assert.True(Count(guest, IsLight) > 100);
    }

    [Fact]
    public async Task Memtest86_tests_memory_and_its_menu_answers_the_keyboard()
    {
        await using var guest = await GuestSession.Start(new MachineSpec
        {
            Engine = EngineChoice.Soft,
            Memory = 32UL << 20,
            Display = new DisplaySpec(1024, 768),
            Boot = new BootSpec { Kernel = Images.File("memtest", "memtest86+x64.bin"), CommandLine = "console=ttyS0,115200" },
        });
        guest.WaitFor("Memtest86+");
        guest.WaitFor("Moving inversions");
        await Until(guest, () => Count(guest, IsBlue) > 100_000);
        int before = Count(guest, IsBlue);
        Assert.True(guest.Machine.Keyboard!.SendKey(KeyCode.F1, pressed: true));
        Assert.True(guest.Machine.Keyboard.SendKey(KeyCode.F1, pressed: false));
        await Until(guest, () => Count(guest, IsBlue) < before - 20_000);
        guest.WaitFor("Settings");
    }

    /// <summary>Needs the image "generic" and its package in the cache.</summary>
    [Fact(Explicit = true)]
    public async Task The_generic_kernels_own_drivers_find_display_mouse_fw_cfg_and_pvpanic()
    {
        using var modules = KernelModules.OfGenericKernel(s_drivers);
        await using var guest = await GuestSession.Start(new MachineSpec
        {
            Engine = EngineChoice.Soft,
            Memory = 512UL << 20,
            Display = new DisplaySpec(1280, 800),
            Boot = Images.Linux("generic", "console=tty0 console=ttyS0") with { Initrd = modules.Initramfs },
        });
        guest.WaitForShell();
        guest.Run($"cd /modules; for m in {string.Join(' ', s_drivers)}; do insmod $m.ko; done; sleep 3");
        Assert.Equal("0 bochs-drmdrmfb", guest.Run("cat /proc/fb"));
        Assert.StartsWith("1280x800\n", guest.Run("cat /sys/class/drm/card0-Virtual-1/modes"), StringComparison.Ordinal);
        Assert.Equal(new DisplayMode(1280, 800, 32, 5120, 0), guest.Machine.Framebuffer!.Mode);
        Assert.True(Count(guest, IsLight) > 1000);
        Assert.Contains("e820", guest.Run("ls /sys/firmware/qemu_fw_cfg/by_name/etc"), StringComparison.Ordinal);

        Assert.Contains("ImExPS/2 Generic Explorer Mouse", guest.Run("cat /proc/bus/input/devices"), StringComparison.Ordinal);
        guest.Type("dd if=/dev/input/event2 bs=24 count=4 2>/dev/null | hexdump -v -e '24/1 \"%02x \" \"\\n\"'; echo MO''VED\n");
        await Task.Delay(2000);
        Assert.True(guest.Machine.Pointer!.SendPointer(10, -5, 1, PointerButtons.Left));
        int start = guest.Log.Length;
        guest.WaitFor("MOVED");
        string events = guest.Log[start..];
        // linux/input-event-codes.h: EV_REL REL_WHEEL -1, EV_KEY BTN_LEFT 1, EV_REL REL_X 10, EV_REL REL_Y -5.
        Assert.Contains("02 00 08 00 ff ff ff ff", events, StringComparison.Ordinal);
        Assert.Contains("01 00 10 01 01 00 00 00", events, StringComparison.Ordinal);
        Assert.Contains("02 00 00 00 0a 00 00 00", events, StringComparison.Ordinal);
        Assert.Contains("02 00 01 00 fb ff ff ff", events, StringComparison.Ordinal);
        guest.Type("echo c > /proc/sysrq-trigger\n");
        await Task.Delay(5000);
        Assert.Contains(guest.Events, happened => happened.Kind == MachineEventKind.Panic);
    }

    private static bool IsLight(byte red, byte green, byte blue) => red > 127 && green > 127 && blue > 127;

    private static bool IsBlue(byte red, byte green, byte blue) => red < 16 && green < 16 && blue > 127;

    private static int Count(GuestSession guest, Func<byte, byte, byte, bool> matches)
    {
        var pixels = (guest.Machine.Framebuffer!.Capture() ?? throw new InvalidOperationException("The display is off.")).Pixels;
        int count = 0;
        for (int at = 0; at < pixels.Length; at += Screenshot.BytesPerPixel)
        {
            count += matches(pixels[at], pixels[at + 1], pixels[at + 2]) ? 1 : 0;
        }

        return count;
    }

    private static async Task Until(GuestSession guest, Func<bool> condition)
    {
        long deadline = Environment.TickCount64 + 300_000;
        while (!condition())
        {
            Assert.True(Environment.TickCount64 < deadline, $"The screen does not show it; the machine is {guest.Machine.State}.");
            await Task.Delay(100);
        }
    }
}
