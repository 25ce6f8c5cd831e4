using Xunit;

namespace WebVm.Guest.Tests;

/// <summary>The monitor's program in its two forms. What both must do is tried on both.</summary>
internal static class Monitors
{
    /// <summary>The one that ./webvm test installed as services install it, a native program; else the ordinary build.</summary>
    public static string Installed => Environment.GetEnvironmentVariable("WEBVM_MONITOR") ?? Ordinary;

    /// <summary>The ordinary build, whose code is compiled while it runs.</summary>
    public static string Ordinary => Path.Combine(AppContext.BaseDirectory, "webvm-vmm");

    /// <summary>The native program. It takes a minute to make, so without one the test is skipped.</summary>
    public static string Native
    {
        get
        {
            Assert.SkipWhen(
                File.Exists(Installed + ".dll"), "There is no native monitor here: ./webvm test makes one, and WEBVM_MONITOR names it.");
            return Installed;
        }
    }
}
