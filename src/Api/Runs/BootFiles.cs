using System.Text.Json;
using System.Text.Json.Serialization;
using WebVm.Api.Images;
using WebVm.Vmm.Host;

namespace WebVm.Api.Runs;

/// <summary>
/// The images behind the names "kernel" and "initrd" that a monitor knows its files by. Kept beside the machine's spec and in every state
/// that is saved of it, because a guest that resets boots what it was started with.
/// </summary>
/// <param name="Kernel">Below the folder of the images.</param>
/// <param name="Initrd">Below the folder of the images.</param>
internal sealed record BootFiles(string? Kernel, string? Initrd)
{
    public const string FileName = "boot.json";
    public const string KernelName = "kernel";
    public const string InitrdName = "initrd";

    private const int MaximumLength = 4096;
    private const int LongestDescription = 64 << 20;

    public static BootFiles Of(ImageStore store, string kernel, string? initrd) =>
        new(store.Relative(kernel), initrd is null ? null : store.Relative(initrd));

    /// <summary>Null when the folder has none.</summary>
    public static BootFiles? Read(string folder)
    {
        try
        {
            return CheckedFile.TryRead(Path.Combine(folder, FileName), MaximumLength, PrivateFolder.Caller) is { } content
                ? JsonSerializer.Deserialize(content, BootFilesJson.Default.BootFiles)
                : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    public void Write(string folder) =>
        PrivateFile.Write(Path.Combine(folder, FileName), JsonSerializer.SerializeToUtf8Bytes(this, BootFilesJson.Default.BootFiles));

    /// <summary>
    /// The files to hand to a monitor by their names. An image that is gone is not among them: only a reset would miss it.
    /// </summary>
    public IEnumerable<(string Name, string Path)> Find(ImageStore store)
    {
        foreach (var (name, relative) in new[] { (KernelName, Kernel), (InitrdName, Initrd) })
        {
            if (relative is not null && store.Resolve(relative) is { } path)
            {
                yield return (name, path);
            }
        }
    }

    /// <summary>
    /// States of builds that named images by path: those very names, as far as they lead to images of this service and to nothing else.
    /// </summary>
    public static IEnumerable<(string Name, string Path)> FindInDescription(string folder, ImageStore store)
    {
        if (CheckedFile.TryRead(Path.Combine(folder, SavedFiles.Description), LongestDescription) is not { } content)
        {
            yield break;
        }

        foreach (string name in NamesIn(content))
        {
            if (Path.IsPathRooted(name) && store.Resolve(Path.GetRelativePath(store.Root, name)) is { } path)
            {
                yield return (name, path);
            }
        }
    }

    private static List<string> NamesIn(byte[] description)
    {
        var names = new List<string>();
        try
        {
            using var json = JsonDocument.Parse(description);
            if (json.RootElement.TryGetProperty("spec", out var spec) && spec.TryGetProperty("boot", out var boot))
            {
                foreach (string property in new[] { KernelName, InitrdName })
                {
                    if (boot.TryGetProperty(property, out var name) && name.ValueKind == JsonValueKind.String)
                    {
                        names.Add(name.GetString()!);
                    }
                }
            }
        }
        catch (Exception wrong) when (wrong is JsonException or InvalidOperationException)
        {
            // Not JSON, or other JSON: the monitor says so.
        }

        return names;
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(BootFiles))]
internal sealed partial class BootFilesJson : JsonSerializerContext;
