using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Machine.Assembly;
using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Machine.Saving;

/// <summary>
/// Makes a machine of a saved state, on whatever engine. The state is untrusted: what it says is checked before it is done.
/// </summary>
public static class StateRestorer
{
    /// <param name="directory">The state's folder, of this build or any before.</param>
    /// <inheritdoc cref="Restore(IStateSource, EngineChoice?, ClockPolicy?, DeviceCatalogue?)"/>
    public static Task<VirtualMachine> Restore(
        string directory, EngineChoice? engine = null, ClockPolicy? clock = null, DeviceCatalogue? catalogue = null) =>
        Restore(new FolderSource(directory, EarlierState.ToSections), engine, clock, catalogue);

    /// <param name="engine">Engine to go on with; null for what the spec says.</param>
    /// <param name="clock">What becomes of the time since the save; null for what the spec says.</param>
    /// <param name="catalogue">Kinds of device; null for those of this build.</param>
    /// <returns>The machine, paused.</returns>
    /// <exception cref="InvalidDataException">
    /// There is no state that this build can read, or that can go on here. Every reason that shows is named, before any machine is made.
    /// </exception>
    public static async Task<VirtualMachine> Restore(
        IStateSource source, EngineChoice? engine = null, ClockPolicy? clock = null, DeviceCatalogue? catalogue = null)
    {
        using var saved = SavedMachine.Read(
            source, spec => spec with { Engine = engine ?? spec.Engine, Clock = clock ?? spec.Clock }, catalogue);
        var machine = MachineAssembly.Assemble(saved.Spec, saved.Cpu, catalogue);
        try
        {
            await machine.Restore(vcpus => Load(machine, vcpus, saved, source)).ConfigureAwait(false);
            return machine;
        }
        catch
        {
            machine.Dispose();
            throw;
        }
    }

    private static void Load(VirtualMachine machine, VcpuGroup vcpus, SavedMachine saved, IStateSource source)
    {
        var faults = new List<string>();
        var records = machine.Platform.Devices.Read(saved.Devices, faults);
        CheckRegions(machine, saved.Memory, faults);
        if (faults.Count > 0)
        {
            throw SavedMachine.Refused(source, faults);
        }

        var regions = StateSaver.RegionsOf(machine).ToDictionary(region => region.Name);
        foreach (var contents in saved.Memory)
        {
            source.ReadContents(contents, regions[contents.Name].File.Descriptor);
        }

        source.Complete();
        // Controllers before devices: a line that a device drives again must not look like a new edge.
        machine.Platform.Clock.Set(saved.Clock.Time, saved.Clock.StoppedAt);
        vcpus.Load(saved.Vcpus);
        machine.Platform.Engine.LoadInterruptControllers(saved.InterruptControllers);
        machine.Platform.Devices.Load(records);
    }

    private static void CheckRegions(VirtualMachine machine, IReadOnlyList<StateContents> memory, List<string> faults)
    {
        var regions = StateSaver.RegionsOf(machine).ToDictionary(region => region.Name, region => region.Size);
        foreach (var contents in memory)
        {
            if (!regions.Remove(contents.Name, out ulong size))
            {
                faults.Add($"The machine has no memory '{contents.Name}', or the state has it twice.");
            }
            else if (size != contents.Size)
            {
                faults.Add($"The state has {contents.Size} bytes of memory '{contents.Name}', the machine {size}.");
            }
        }

        if (regions.Count > 0)
        {
            faults.Add($"The state has no contents for memory '{string.Join("', '", regions.Keys)}'.");
        }
    }
}
