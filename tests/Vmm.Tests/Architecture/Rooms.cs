namespace WebVm.Vmm.Tests.Architecture;

/// <summary>The floors of DESIGN's house: a room may use only rooms on lower floors.</summary>
internal static class Rooms
{
    private const string Root = "WebVm.Vmm";

    private static readonly Dictionary<string, int> s_floors = new()
    {
        ["Host"] = 0,
        ["Memory"] = 1,
        ["Time"] = 1,
        ["State"] = 1,
        ["Settings"] = 1,
        ["Keys"] = 1,
        ["Pictures"] = 1,
        ["Confinement"] = 1,
        ["Interrupts"] = 2,
        ["Acpi"] = 2,
        ["Cpu"] = 3,
        ["Storage"] = 3,
        ["Network"] = 3,
        ["Devices"] = 4,
        ["Firmware"] = 5,
        ["Machine"] = 6,
        ["Control"] = 7,
        ["Commands"] = 8,
        ["Program"] = 8,
    };

    /// <summary>
    /// The rooms of Devices that devices stand on. Every other folder is a device or a family of devices, and on the floor above.
    /// </summary>
    private static readonly Dictionary<string, int> s_deviceFloors = new()
    {
        [""] = 0,
        ["Framework"] = 1,
        ["Bus"] = 2,
        ["Wires"] = 3,
        ["Catalogue"] = 3,
        ["Pci"] = 4,
        ["BuiltIn"] = 6,
    };

    private const int DeviceFloor = 5;

    public static IReadOnlyCollection<string> Names => s_floors.Keys;

    /// <summary>
    /// The folder below Devices that a type lives in ("Chipset.Clock"; "" for Devices itself), or null for one that is elsewhere.
    /// </summary>
    public static string? DeviceRoomOf(Type type) =>
        Of(type) != "Devices" ? null : Namespace(type)![$"{Root}.Devices".Length..].TrimStart('.');

    /// <summary>Devices know what they stand on and what their family shares, and no other device.</summary>
    public static bool DeviceRoomMayUse(string user, string used) =>
        user == used || DeviceFloorOf(user) > DeviceFloorOf(used)
            || (DeviceFloorOf(user) == DeviceFloorOf(used) && user.StartsWith(used + ".", StringComparison.Ordinal));

    private static int DeviceFloorOf(string room) => s_deviceFloors.GetValueOrDefault(room, DeviceFloor);

    public static int Floor(string room) => s_floors[room];

    /// <summary>The room a type lives in, or null for a type that is not the monitor's.</summary>
    public static string? Of(Type type) =>
        Namespace(type) is not { } space ? null : space == Root || space.Length == 0 ? "Program" : space[(Root.Length + 1)..].Split('.')[0];

    /// <summary>
    /// The namespace of a type of the monitor, or of the one that it is nested in; null for others and for what the compiler makes.
    /// </summary>
    public static string? Namespace(Type type)
    {
        var element = type;
        while (element.HasElementType)
        {
            element = element.GetElementType()!;
        }

        if (element.IsGenericParameter || element.Assembly != typeof(Vmm.Memory.GuestMemory).Assembly)
        {
            return null;
        }

        while (element.DeclaringType is { } outer)
        {
            element = outer;
        }

        string space = element.Namespace ?? "";
        if (space.Length == 0 && element.Name.Contains('<', StringComparison.Ordinal))
        {
            return null; // made by the compiler (inline arrays, collection expressions)
        }

        return space;
    }

    public static bool MayUse(string user, string used) =>
        user == used || Floor(user) > Floor(used) || (user == "Program" && used == "Commands");
}
