using System.Diagnostics;
using Xunit;

namespace WebVm.Guest.Tests;

/// <summary>The busybox initramfs with modules of the generic kernel added to it, as /modules/NAME.ko.</summary>
internal sealed class KernelModules : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("webvm-modules-");

    private KernelModules()
    {
    }

    public string Initramfs => Path.Combine(_folder.FullName, "initramfs");

    public static KernelModules OfGenericKernel(IEnumerable<string> names)
    {
        var modules = new KernelModules();
        string package =
            Directory.GetFiles(
                Path.Combine(Path.GetDirectoryName(Images.File("generic", "initramfs"))!, "..", "..", "packages"),
                "linux-image-*-amd64_*.deb")
            .Single(file => !file.Contains("cloud", StringComparison.Ordinal));
        string wanted = string.Join(' ', names.Select(name => $"-name {name}.ko -o"));
        // An initramfs may be several archives, one after the other.
        modules.Shell($"""
            dpkg-deb -x '{package}' package
            mkdir -p root/modules
            find package/lib/modules \( {wanted} -false \) -exec cp -t root/modules {"{}"} +
            (cd root && find . | cpio --quiet -o -H newc) | cat '{Images.File("generic", "initramfs")}' - > initramfs
            """);
        return modules;
    }

    public void Dispose() => _folder.Delete(recursive: true);

    private void Shell(string script)
    {
        using var shell = Process.Start(new ProcessStartInfo("bash", ["-euc", script]) { WorkingDirectory = _folder.FullName })!;
        shell.WaitForExit();
        Assert.Equal(0, shell.ExitCode);
    }
}
