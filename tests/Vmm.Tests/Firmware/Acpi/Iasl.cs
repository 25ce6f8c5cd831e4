using Xunit;
using System.Diagnostics;

namespace WebVm.Vmm.Tests.Firmware.Acpi;

/// <summary>Intel's ACPI compiler (acpica-tools), in a directory of its own.</summary>
internal sealed class Iasl : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("webvm-iasl-");

    /// <summary>Disassembles a table, compiles the result, and returns both tools' words and the recompiled bytes.</summary>
    public Result RoundTrip(string signature, byte[] table)
    {
        string name = signature.ToLowerInvariant();
        File.WriteAllBytes(Path.Combine(_directory.FullName, $"{name}.dat"), table);
        string disassembly = Run("-d", $"{name}.dat");
        string source = Path.Combine(_directory.FullName, $"{name}.dsl");
        if (!File.Exists(source))
        {
            return new Result(disassembly, "", "", []);
        }

        // -vs: every message on one line; -oa: keep the code as it is written.
        string compilation = Run("-vs", "-oa", "-p", $"{name}-again", $"{name}.dsl");
        string again = Path.Combine(_directory.FullName, $"{name}-again.aml");
        return new Result(disassembly, compilation, File.ReadAllText(source), File.Exists(again) ? File.ReadAllBytes(again) : []);
    }

    public void Dispose() => _directory.Delete(recursive: true);

    private string Run(params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo("iasl", arguments)
        {
            WorkingDirectory = _directory.FullName,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        var error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        Assert.True(process.WaitForExit(30_000), "iasl did not end");
        return output + error.Result;
    }

    public sealed record Result(string Disassembly, string Compilation, string Source, byte[] Recompiled);
}
