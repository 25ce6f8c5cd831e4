using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Settings;

namespace WebVm.Vmm.Tests.Devices.Catalogue;

/// <summary>Kinds that show what the generator makes of them; nothing else knows them.</summary>
internal static partial class ExampleKinds
{
    [DeviceKinds]
    public static partial IReadOnlyList<DeviceKind> All { get; }
}

public enum ExampleMode
{
    Plain,
    UserNetwork,
}

public sealed record EverySetting
{
    [Setting("a flag")]
    public bool Flag { get; init; } = true;

    [Setting("an even number", Minimum = -4, Maximum = 10, Multiple = 2)]
    public int Number { get; init; } = 6;

    [Setting("a byte or nothing")]
    public byte? Perhaps { get; init; }

    [Setting("bytes", Minimum = 4096, Maximum = 1 << 20, Multiple = 4096)]
    public ulong Size { get; init; } = 8192;

    [Setting("text", Minimum = 2, Maximum = 4)]
    public required string Text { get; init; }

    [Setting("one of two")]
    public ExampleMode Mode { get; init; }
}

[DeviceKind("example.every-setting", "takes every type of setting")]
internal sealed class EverySettingKind : IDeviceKind<EverySetting>
{
    public static IEnumerable<(string Setting, string Message)> Check(EverySetting settings) =>
        settings.Text == "no" ? [("text", "that is no text")] : [];

    public static IDevice Create(DeviceSite site, EverySetting settings) => new ExampleDevice(site.Id);
}

/// <summary>Three places, by letter.</summary>
internal sealed class LetterConnection() : Connection("letter")
{
    public static readonly LetterConnection Instance = new();

    public override string Example => "bus:a";

    public override IEnumerable<ulong> Places => [0, 1, 2];

    public override string Format(ulong place) => ((char)('a' + place)).ToString();

    public override bool TryParse(string text, out ulong place)
    {
        place = text.Length == 1 ? (ulong)(text[0] - 'a') : 3;
        return place < 3;
    }
}

[DeviceKind("example.bus", "a bus that hangs on another")]
internal sealed class ExampleBusKind : IDeviceKind<NoSettings>
{
    public static Placement? Placement { get; } = new(LetterConnection.Instance);

    public static Connection? Offers => LetterConnection.Instance;

    public static IDevice Create(DeviceSite site, NoSettings settings) => new ExampleDevice(site.Id);
}

[DeviceKind("example.root", "a bus that hangs on nothing; its first place is its own")]
internal sealed class ExampleRootKind : IDeviceKind<NoSettings>
{
    public static Connection? Offers => LetterConnection.Instance;

    public static IEnumerable<ulong> OwnPlaces => [0];

    public static IDevice Create(DeviceSite site, NoSettings settings) => new ExampleDevice(site.Id);
}

internal sealed class ExampleDevice(string name) : IDevice, IDeviceHost
{
    private readonly List<string> _attached = [];

    public string Name => name;

    public IReadOnlyList<string> Attached => _attached;

    public void Attach(IDevice device, ulong place) => _attached.Add($"{place}:{device.Name}");

    public void Reset()
    {
    }
}
