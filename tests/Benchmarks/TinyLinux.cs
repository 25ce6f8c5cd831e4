namespace WebVm.Benchmarks;

/// <summary>The guest that ours and QEMU are compared with (./webvm image build tiny), and our monitor.</summary>
internal static class TinyLinux
{
    /// <summary>What it says when its shell is there.</summary>
    public const string Ready = "WebVm tiny ready on /dev/ttyS0";

    /// <summary>The monitor that the service would start: compiled ahead of time where that is possible.</summary>
    public static string Monitor =>
        Environment.GetEnvironmentVariable("WEBVM_MONITOR") ?? Path.Combine(AppContext.BaseDirectory, "webvm-vmm");

    public static string Kernel => Path.Combine(Folder, "vmlinux");

    /// <summary>The same kernel as a bzImage, which starts from UEFI.</summary>
    public static string CompressedKernel => Path.Combine(Folder, "vmlinuz");

    public static string Initramfs => Path.Combine(Folder, "initramfs");

    private static string Folder => Path.Combine(Cache, "images", "tiny");

    private static string Cache =>
        Environment.GetEnvironmentVariable("WEBVM_CACHE")
        ?? Path.Combine(
            Environment.GetEnvironmentVariable("XDG_CACHE_HOME")
                ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"),
            "webvm");
}
