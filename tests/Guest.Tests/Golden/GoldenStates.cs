using System.IO.Compression;
using System.Runtime.CompilerServices;
using Xunit;

namespace WebVm.Guest.Tests.Golden;

/// <summary>States that builds of the past have saved (<see cref="GoldenWriter"/>). They lie beside this file, packed, and stay for ever.</summary>
internal static class GoldenStates
{
    /// <summary>Their names, without ".zip".</summary>
    public static TheoryData<string> Folders => new(Directory.EnumerateFiles(Source, "*.zip").Select(file => Path.GetFileNameWithoutExtension(file)).Order(StringComparer.Ordinal));

    public static string Source => Path.GetDirectoryName(ThisFile())!;

    /// <summary>Unpacks a state.</summary>
    /// <param name="folder">Gets it.</param>
    public static string Unpack(string name, string folder)
    {
        string state = Path.Combine(folder, "state");
        ZipFile.ExtractToDirectory(Path.Combine(Source, name + ".zip"), state);
        return state;
    }

    private static string ThisFile([CallerFilePath] string path = "") => path;
}
