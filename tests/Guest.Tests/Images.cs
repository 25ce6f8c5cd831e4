using WebVm.Vmm.Machine.Spec;
using Xunit;

namespace WebVm.Guest.Tests;

/// <summary>The guest images that ./webvm image build made; a test that needs one fails with the command that makes it.</summary>
internal static class Images
{
    private static string Cache =>
        Environment.GetEnvironmentVariable("WEBVM_CACHE")
        ?? Path.Combine(
            Environment.GetEnvironmentVariable("XDG_CACHE_HOME")
                ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"),
            "webvm");

    public static string File(string image, string name)
    {
        string path = Path.Combine(Cache, "images", image, name);
        Assert.True(System.IO.File.Exists(path), $"{path} is missing; run: ./webvm image build {image}");
        return path;
    }

    /// <summary>A kernel with the busybox initramfs.</summary>
    public static BootSpec Linux(string image, string commandLine, string kernel = "vmlinux") =>
        new() { Kernel = File(image, kernel), Initrd = File(image, "initramfs"), CommandLine = commandLine };
}
