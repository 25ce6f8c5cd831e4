namespace WebVm.Vmm.Tests.Architecture;

/// <summary>
/// Rooms within rooms. A room's own files, those in none of its folders, are a room within it as well, named <see cref="Own"/>.
/// </summary>
internal static class InnerRooms
{
    /// <summary>The files of a room itself.</summary>
    public const string Own = ".";

    private const string Root = "WebVm.Vmm";

    /// <summary>Of each room, its floors from the bottom. Rooms on one floor do not know each other.</summary>
    private static readonly Dictionary<string, string> s_floors = new()
    {
        ["Host"] = "Marshalling | Native | .",
        ["Confinement"] = ". | Keeping",
        ["Acpi"] = "Aml | .",
        ["Cpu"] = "State | Features | . | Probing | Soft | Kvm | Measurement",
        ["Cpu.Soft"] = "Context | Operations | Paging | Access | Segmentation | Events | Semantics | Decoding | Execution | Vcpu | .",
        ["Cpu.Soft.Semantics"] = ". | Integer Paravirtualization X87 | Branches SystemInstructions Vector",
        ["Firmware"] = "Description | Acpi Boot Smbios | .",
        ["Machine"] = "Profiles | Spec | Consoles | Lifecycle | Assembly | Saving",
    };

    public static IReadOnlyCollection<string> Ordered => s_floors.Keys;

    /// <summary>The rooms within a room, with their floors.</summary>
    public static Dictionary<string, int> FloorsOf(string room) => s_floors[room].Split('|')
        .SelectMany((names, floor) => names.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(name => (name, floor))).ToDictionary();

    /// <summary>The room within <paramref name="room"/> ("Cpu.Soft") that a namespace belongs to; null for one that is elsewhere.</summary>
    public static string? Within(string room, string? space)
    {
        string outer = $"{Root}.{room}";
        return space == outer
            ? Own
            : space?.StartsWith(outer + ".", StringComparison.Ordinal) == true ? space[(outer.Length + 1)..].Split('.')[0] : null;
    }

    public static bool MayUse(string room, string user, string used)
    {
        var floors = FloorsOf(room);
        return user == used || floors[user] > floors[used];
    }
}
