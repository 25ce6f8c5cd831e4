namespace WebVm.Vmm.State;

/// <summary>
/// The units of a state, and their order, in which sections are written and read: what machine it is, then what it holds. A section may
/// depend on those before it.
/// </summary>
public static class StateUnits
{
    /// <summary>The spec, the engine, when it was saved.</summary>
    public const string Machine = "machine";

    /// <summary>The processor that the guest met. Absent where a build before this chose none.</summary>
    public const string Cpu = "cpu";

    /// <summary>The devices that the machine had. Absent in earlier states: those of the spec.</summary>
    public const string Devices = "devices";

    /// <summary>The regions of memory whose contents follow all sections.</summary>
    public const string Memory = "memory";

    public const string Clock = "clock";

    private const string VcpuFamily = "vcpu";
    private const string InterruptFamily = "interrupts";
    private const string DeviceFamily = "device";

    public const string Pics = $"{InterruptFamily}/pics";
    public const string IoApic = $"{InterruptFamily}/ioapic";
    public const string Pit = $"{InterruptFamily}/pit";

    private const int MaximumLength = 64;

    private static readonly string[] s_order = [Machine, Cpu, Devices, Memory, Clock, VcpuFamily, InterruptFamily, DeviceFamily];

    public static string Vcpu(int index) => $"{VcpuFamily}/{index}";

    public static string LocalApic(int index) => $"{InterruptFamily}/apic/{index}";

    public static string Device(string id) => $"{DeviceFamily}/{id}";

    /// <summary>The device that a section is of; null for a section of something else.</summary>
    public static string? DeviceOf(string unit) =>
        unit.StartsWith($"{DeviceFamily}/", StringComparison.Ordinal) ? unit[(DeviceFamily.Length + 1)..] : null;

    /// <summary>Names that say nothing to a terminal that they are shown on.</summary>
    internal static bool AreSound(StateSection section) => IsName(section.Unit) && IsName(section.Schema);

    private static bool IsName(string text) =>
        text.Length is > 0 and <= MaximumLength
            && text.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '/' or '-' or '_' or '.');

    /// <summary>What is wrong with a list of sections as such: units that have no name, stand twice, or are out of order.</summary>
    public static IEnumerable<string> FaultsOf(IReadOnlyList<StateSection> sections)
    {
        HashSet<string> seen = new(StringComparer.Ordinal);
        int last = 0;
        foreach (var section in sections)
        {
            if (!AreSound(section))
            {
                yield return "A section has no sound unit, or no sound schema.";
                continue;
            }

            if (!seen.Add(section.Unit))
            {
                yield return $"There is more than one saved state of '{section.Unit}'.";
            }

            // A family that is not known is somebody else's to refuse.
            int order = Array.IndexOf(s_order, section.Unit.Split('/')[0]);
            if (order >= 0 && order < last)
            {
                yield return $"The saved state of '{section.Unit}' is out of order: it comes after that of '{s_order[last]}'.";
            }

            last = Math.Max(last, order);
        }
    }
}
