using System.Text;
using WebVm.Vmm.Firmware.Boot;
using WebVm.Vmm.Firmware.Description;
using WebVm.Vmm.Tests.Devices.Doubles;
using Xunit;

namespace WebVm.Vmm.Tests.Firmware.Boot;

public sealed class QemuBootTests
{
    [Fact]
    public void A_Multiboot_kernel_reports_what_it_was_given()
    {
        using var qemu = new QemuBoot(new BootSource
        {
            Kernel = new BootFile("multiboot.bin", QemuBoot.Assemble("multiboot.asm")),
            CommandLine = "hello world",
            Modules = [new BootModule(
                new BootFile("m", Encoding.ASCII.GetBytes("contents\0")), "first"),
                new BootModule(new BootFile("n", new byte[1]), "second")],
        }, megabytes: 32);
        string serial = qemu.RunUntil("multiboot done", seconds: 300);

        Shows(serial, "multiboot magic 2badb002");
        Shows(serial, "command line: multiboot.bin hello world");
        Shows(serial, "loader: WebVm");
        Shows(serial, "module first = contents");
        Shows(serial, "module second = ");
        foreach (var entry in qemu.Plan.Map.Entries)
        {
            Shows(serial, $"map {entry.Base.Value:x16} + {entry.Length:x16} type {(uint)entry.Type:x8}");
        }

        Shows(serial, "multiboot done");
    }

    [Theory]
    [InlineData("memtest86+x64.bin")]
    [InlineData("memtest86+ia32.bin", Explicit = true)]
    public void Memtest_shows_its_screen_on_the_serial_line(string file)
    {
        string path = new[] { Path.Combine(CacheDirectory, "images", "memtest", file), Path.Combine("/boot", file) }.FirstOrDefault(
            File.Exists, "");
        Assert.SkipWhen(path.Length == 0, $"{file} is not there (./webvm image build memtest)");
        using var qemu = new QemuBoot(
            new BootSource { Kernel = BootFile.Open(path), CommandLine = "console=ttyS0,115200 nosmp" }, megabytes: 64);
        string serial = qemu.RunUntil("Pass", seconds: 300);

        Shows(serial, "Memtest86+");
    }

    [Theory]
    [InlineData("vmlinuz", BootProtocol.LinuxBzImage)]
    [InlineData("vmlinux", BootProtocol.Pvh, Explicit = true)]
    [InlineData("vmlinux", BootProtocol.LinuxElf, Explicit = true)]
    public void Debians_kernel_finds_the_machine_that_the_tables_describe(string file, BootProtocol protocol)
    {
        string image = Path.Combine(CacheDirectory, "images", "tiny");
        Assert.SkipUnless(File.Exists(Path.Combine(image, file)), $"image tiny with {file} is not built (./webvm image build tiny)");
        const ulong ram = 512UL << 20;
        using var qemu = new QemuBoot(
            new BootSource
            {
                Kernel = BootFile.Open(Path.Combine(image, file)),
                Modules = [new BootModule(BootFile.Open(Path.Combine(image, "initramfs")))],
                CommandLine = "console=ttyS0 panic=-1",
                Protocol = protocol,
            },
            megabytes: 512,
            new PlatformDescription
            {
                Cpus = [new(0, 0, 0), new(1, 1, 1)],
                Memory = [new(new(0), ram / 4, 0), new(new(ram / 4), ram - (ram / 4), 1)],
                NodeCount = 2,
                Devices = PcDevices.Create(),
                Distances = [[10, 31], [31, 10]],
            },
            cpus: 2);
        string serial = qemu.RunUntil("Run /init as init process", seconds: 300);

        Shows(serial, "ACPI: RSDP 0x00000000000F0000 000024 (v02 WEBVM )");
        Shows(serial, "DMI: WebVm WebVm PC, BIOS");
        Shows(serial, "BIOS-e820: [mem 0x0000000000100000-");
        Shows(serial, "smpboot: Allowing 2 CPUs, 0 hotplug CPUs");
        Shows(serial, "SRAT: PXM 1 -> APIC 0x01 -> Node 1");
        Shows(serial, "ACPI: SRAT: Node 1 PXM 1 [mem 0x08000000-0x1fffffff]");
        Shows(serial, "ACPI: Interpreter enabled");
        Shows(serial, "ACPI: PCI Root Bridge [PCI0] (domain 0000 [bus 00-ff])");
        Shows(serial, "MMCONFIG at [mem 0xe0000000-0xefffffff] reserved in E820");
        Shows(serial, "Run /init as init process");
        DoesNotShow(serial, "ACPI BIOS Error");
        DoesNotShow(serial, "ACPI Error");
        DoesNotShow(serial, "Firmware Bug");
        DoesNotShow(serial, "WARNING:");
        DoesNotShow(serial, "Unknown NUMA node");
    }

    private static void Shows(string serial, string text) =>
        Assert.True(serial.Contains(text, StringComparison.Ordinal), $"'{text}' is missing on the serial line:\n{serial}");

    private static void DoesNotShow(string serial, string text) =>
        Assert.False(serial.Contains(text, StringComparison.Ordinal), $"'{text}' is on the serial line:\n{serial}");

    private static string CacheDirectory =>
        Environment.GetEnvironmentVariable("WEBVM_CACHE")
        ?? (Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { } cache
            ? Path.Combine(cache, "webvm")
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache", "webvm"));
}
