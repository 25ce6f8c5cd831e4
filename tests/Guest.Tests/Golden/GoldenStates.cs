using System.IO.Compression;
using System.Runtime.CompilerServices;
using Xunit;

namespace WebVm.Guest.Tests.Golden;

/// <summary>
/// States that builds of the past have saved (<see cref="GoldenWriter"/>). They lie beside this file, packed, and stay for ever.
/// </summary>
internal static class GoldenStates
{
    private const string FolderSuffix = ".zip";
    private const string StreamSuffix = ".stream.gz";

    /// <summary>The names of those that went to a folder.</summary>
    public static TheoryData<string> Folders => Names(FolderSuffix);

    /// <summary>The names of those that went to a stream.</summary>
    public static TheoryData<string> Streams => Names(StreamSuffix);

    private static string Source => Path.GetDirectoryName(ThisFile())!;

    public static string FolderOf(string name) => Path.Combine(Source, name + FolderSuffix);

    public static string StreamOf(string name) => Path.Combine(Source, name + StreamSuffix);

    /// <summary>Unpacks a state.</summary>
    /// <param name="folder">Gets it as a folder of its own.</param>
    public static string Unpack(string name, string folder)
    {
        string state = Path.Combine(folder, "state");
        ZipFile.ExtractToDirectory(FolderOf(name), state);
        return state;
    }

    private static TheoryData<string> Names(string suffix) =>
        new(Directory.EnumerateFiles(Source, "*" + suffix).Select(file => Path.GetFileName(file)[..^suffix.Length])
            .Order(StringComparer.Ordinal));

    private static string ThisFile([CallerFilePath] string path = "") => path;
}
