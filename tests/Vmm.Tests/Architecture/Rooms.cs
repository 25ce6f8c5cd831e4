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
        ["Confinement"] = 1,
        ["Interrupts"] = 2,
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

    public static IReadOnlyCollection<string> Names => s_floors.Keys;

    public static int Floor(string room) => s_floors[room];

    /// <summary>The room a type lives in, or null for a type that is not the monitor's.</summary>
    public static string? Of(Type type)
    {
        var element = type;
        while (element.HasElementType)
        {
            element = element.GetElementType()!;
        }

        if (element.IsGenericParameter || element.Assembly != typeof(Memory.GuestMemory).Assembly)
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

        return space == Root || space.Length == 0 ? "Program" : space[(Root.Length + 1)..].Split('.')[0];
    }

    public static bool MayUse(string user, string used) => user == used || Floor(user) > Floor(used) || (user == "Program" && used == "Commands");
}
