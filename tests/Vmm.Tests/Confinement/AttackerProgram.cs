using System.Diagnostics;
using System.Globalization;

namespace WebVm.Vmm.Tests.Confinement;

/// <summary>tests/Attacker, compiled as monitors are: `./webvm test` does that. It is kept by the monitor's own keeper.</summary>
internal static class AttackerProgram
{
    private static readonly Lazy<string> s_path = new(Find);

    public static string Path => s_path.Value;

    /// <summary>Starts a keeper, which executes the attacker again with these arguments.</summary>
    /// <param name="prefix">What is in front of the program: whose account, which container.</param>
    public static Process Keep(
        string folder, string level, IReadOnlyList<string> prefix, IReadOnlyList<string> options, IReadOnlyList<string> arguments)
    {
        string[] command = [.. prefix.TakeWhile(
            word => word != Role), Path, .. prefix.SkipWhile(word => word != Role), "keep", "--folder", folder, "--level", level,
            .. options, "--", .. arguments];
        return Process.Start(
            new ProcessStartInfo(
                command[0], command[1..]) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true })!;
    }

    /// <summary>In a prefix: the container's profile is put up by the attacker itself.</summary>
    public const string Role = "in-container";

    /// <summary>Exit code and text of a run that has ended.</summary>
    public static (int Code, string Said) Read(string folder) => (
        int.Parse(File.ReadAllText(System.IO.Path.Combine(folder, "exit")), CultureInfo.InvariantCulture),
        File.ReadAllText(System.IO.Path.Combine(folder, "monitor.log")).Trim());

    private static string Find()
    {
        for (string? at = AppContext.BaseDirectory; at is not null; at = System.IO.Path.GetDirectoryName(at))
        {
            string path = System.IO.Path.Combine(at, "tests", "Attacker", "bin", "native", "attacker");
            if (File.Exists(path))
            {
                return Copied(path);
            }
        }

        throw new InvalidOperationException("tests/Attacker is not compiled to a native program; ./webvm test does that.");
    }

    /// <summary>Where every account may execute it.</summary>
    private static string Copied(string path)
    {
        string folder = Directory.CreateTempSubdirectory("webvm-attacker").FullName;
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(folder, recursive: true);
        File.SetUnixFileMode(folder, (UnixFileMode)0b111_101_101);
        string copy = System.IO.Path.Combine(folder, "attacker");
        File.Copy(path, copy);
        File.SetUnixFileMode(copy, (UnixFileMode)0b111_101_101);
        File.Copy(path + ".dbg", copy + ".dbg");
        return copy;
    }
}
