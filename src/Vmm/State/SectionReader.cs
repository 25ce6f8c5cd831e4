using System.Diagnostics.CodeAnalysis;

namespace WebVm.Vmm.State;

/// <summary>
/// Takes the sections of a state one by one. What is wrong with any is put beside the others' faults: whoever reads a state hears of all at
/// once.
/// </summary>
public sealed class SectionReader
{
    private readonly List<string> _faults;
    private readonly Dictionary<string, StateSection> _left = new(StringComparer.Ordinal);

    public SectionReader(IReadOnlyList<StateSection> sections, List<string> faults)
    {
        _faults = faults;
        faults.AddRange(StateUnits.FaultsOf(sections));
        foreach (var section in sections.Where(StateUnits.AreSound))
        {
            _left.TryAdd(section.Unit, section);
        }
    }

    public bool Has(string unit) => _left.ContainsKey(unit);

    /// <summary>The record of a unit; false, with the fault noted, where there is none that can be read.</summary>
    public bool TryTake<T>(string unit, StateSchema<T> schema, [NotNullWhen(true)] out T? record)
        where T : notnull
    {
        record = default;
        if (!_left.Remove(unit, out var section))
        {
            _faults.Add($"There is no saved state of '{unit}'.");
            return false;
        }

        try
        {
            record = schema.Read(section);
            return true;
        }
        catch (InvalidDataException fault)
        {
            _faults.Add(fault.Message);
            return false;
        }
    }

    /// <summary>The sections of devices, in their order.</summary>
    public IReadOnlyList<StateSection> TakeDevices()
    {
        List<StateSection> devices = [.. _left.Values.Where(section => StateUnits.DeviceOf(section.Unit) is not null)];
        devices.ForEach(section => _left.Remove(section.Unit));
        return devices;
    }

    /// <summary>Notes each section that nobody has taken.</summary>
    public void RefuseOthers() => _faults.AddRange(_left.Values.Select(section =>
        $"This build knows no '{section.Unit}' of such a machine, whose saved state follows version {section.Version} of schema '{section.Schema}'."));
}
