using System.Text.Json;

namespace WebVm.Vmm.Devices.Catalogue;

/// <summary>One device of a machine, as the machine's spec names it.</summary>
/// <param name="Id">The device's name: unique in the machine, and what its saved state goes by.</param>
/// <param name="Kind">What it is: a name of the catalogue.</param>
public sealed record DeviceSpec(string Id, string Kind)
{
    public const int MaximumIdLength = 32;

    /// <summary>
    /// Where it is, as "bus:place": "port:3f8", "pci:01.0". Null for a kind that has one place, or for the first that is free.
    /// </summary>
    public string? At { get; init; }

    /// <summary>A JSON object of the kind's settings; null for their defaults.</summary>
    public JsonElement? Settings { get; init; }

    /// <param name="json">A JSON object.</param>
    public DeviceSpec WithSettings(string json) => this with { Settings = JsonElement.Parse(json) };

    internal static bool IsId(string id) => id.Length is > 0 and <= MaximumIdLength && char.IsAsciiLetterLower(id[0])
        && id.All(character => char.IsAsciiLetterLower(character) || char.IsAsciiDigit(character) || character is '-' or '_' or '.');
}

/// <summary>A device of a spec with where it was said, so that a fault leads there.</summary>
/// <param name="Pointer">JSON pointer of the device ("/devices/3"), or of the short form that stands for it ("/display").</param>
/// <param name="IsShort">A short form: its fields are the settings, and what else a device has follows.</param>
public sealed record DeviceEntry(DeviceSpec Device, string Pointer, bool IsShort = false)
{
    internal string SettingsPointer => IsShort ? Pointer : $"{Pointer}/settings";

    internal string PointerOf(string field) => IsShort ? Pointer : $"{Pointer}/{field}";
}
