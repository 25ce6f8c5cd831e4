using System.Runtime.CompilerServices;
using Xunit;

namespace WebVm.Guest.Tests;

/// <summary>The native build of the monitor, the one that is installed and locked in. It takes a minute to make, so tests take what is there.</summary>
internal static class NativeMonitor
{
    public static string Program
    {
        get
        {
            var candidates = Environment.GetEnvironmentVariable("WEBVM_MONITOR") is { } named ? [named] : Installed();
            var program = candidates.FirstOrDefault(candidate => File.Exists(candidate) && !File.Exists(candidate + ".dll"));
            Assert.SkipWhen(program is null, "There is no native monitor here: WEBVM_MONITOR names one, and ./webvm run installs one.");
            return program!;
        }
    }

    private static IEnumerable<string> Installed([CallerFilePath] string source = "")
    {
        var folder = new DirectoryInfo(Path.Combine(Path.GetDirectoryName(source)!, "..", "..", "src", "Vmm", "bin", "installed"));
        return folder.Exists
            ? folder.EnumerateDirectories().OrderByDescending(version => version.LastWriteTimeUtc).Select(version => Path.Combine(version.FullName, "webvm-vmm"))
            : [];
    }
}
