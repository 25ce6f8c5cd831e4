using System.Diagnostics;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu.Soft;

/// <summary>The Netwide Assembler, for programs that change modes.</summary>
internal static class Nasm
{
    /// <summary>Flat binary of a source.</summary>
    public static byte[] Assemble(string source, string purpose)
    {
        string directory = Directory.CreateTempSubdirectory("webvm-nasm").FullName;
        try
        {
            string input = Path.Combine(directory, "a.asm");
            string output = Path.Combine(directory, "a.bin");
            File.WriteAllText(input, source);
            using var process = Process.Start(
                new ProcessStartInfo("nasm", ["-f", "bin", "-o", output, input]) { RedirectStandardError = true })!;
            string errors = process.StandardError.ReadToEnd();
            process.WaitForExit();
            Assert.True(process.ExitCode == 0, $"nasm ({purpose}): {errors}");
            return File.ReadAllBytes(output);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }
}
