using System.Text.Json;
using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Host;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Machine.Assembly;
using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Machine.Saving;

/// <summary>Makes a machine of a saved state, on whatever engine. The directory is untrusted: everything in it is checked first.</summary>
public static class StateRestorer
{
    /// <param name="engine">Engine to go on with; null for what the spec says.</param>
    /// <param name="clock">What becomes of the time since the save; null for what the spec says.</param>
    /// <param name="catalogue">Kinds of device; null for those of this build.</param>
    /// <returns>The machine, paused.</returns>
    /// <exception cref="InvalidDataException">The directory holds no state that this build can read.</exception>
    public static async Task<VirtualMachine> Restore(string directory, EngineChoice? engine = null, ClockChoice? clock = null, DeviceCatalogue? catalogue = null)
    {
        var saved = Read(directory);
        var spec = MachineSpecJson.Read(saved.Spec, out var faults, catalogue)
            ?? throw new InvalidDataException($"The spec in '{directory}' has faults:{Environment.NewLine}{string.Join(Environment.NewLine, faults)}");
        if (saved.Vcpus.Count != spec.Cpus)
        {
            throw new InvalidDataException($"The state in '{directory}' has {saved.Vcpus.Count} vCPUs, its spec {spec.Cpus}.");
        }

        var machine = MachineAssembly.Assemble(spec with { Engine = engine ?? spec.Engine, Clock = clock ?? spec.Clock }, saved.Cpu ?? EarlierProcessor.Of(saved.Engine, spec), catalogue);
        try
        {
            await machine.Restore(vcpus => Load(machine, vcpus, saved, directory)).ConfigureAwait(false);
            return machine;
        }
        catch
        {
            machine.Dispose();
            throw;
        }
    }

    private static SavedMachine Read(string directory)
    {
        string path = Path.Combine(directory, SavedMachine.FileName);
        byte[] json = HandedFiles.OfProcess.Read(path, SavedMachine.MaximumLength);
        try
        {
            using var document = UntrustedJson.Parse(json, SavedMachine.MaximumDepth);
            // The version first: another one may look different in every other way.
            if (document.RootElement.ValueKind != JsonValueKind.Object || !document.RootElement.TryGetProperty("schema", out var schema)
                || schema.ValueKind != JsonValueKind.Number || !schema.TryGetInt32(out int version))
            {
                throw new InvalidDataException("It does not say which schema it follows.");
            }

            if (version != SavedMachine.CurrentSchema)
            {
                throw new InvalidDataException($"It follows schema {version}; this build reads schema {SavedMachine.CurrentSchema}.");
            }

            if (DeviceStateJson.HasEmptyElement(document.RootElement))
            {
                throw new InvalidDataException("A list has nothing in the place of an element.");
            }

            return document.RootElement.Deserialize(SavedMachineJson.Strict.SavedMachine) ?? throw new InvalidDataException("It is empty.");
        }
        catch (Exception failure) when (failure is JsonException or NotSupportedException or ArgumentException or FormatException or InvalidDataException)
        {
            throw new InvalidDataException($"'{path}' is no saved machine: {failure.Message}", failure);
        }
    }

    private static unsafe void Load(VirtualMachine machine, VcpuGroup vcpus, SavedMachine saved, string directory)
    {
        using var states = new CpuStateBuffer(vcpus.Count);
        for (int index = 0; index < states.Count; index++)
        {
            VcpuStateJson.Read(saved.Vcpus[index], states[index]);
        }

        if (saved.Clock is < 0 or > VirtualClock.Latest)
        {
            throw new InvalidDataException($"The saved clock is not 0 to {VirtualClock.Latest} ns.");
        }

        CheckApicIds(machine.Spec, saved, states);
        LoadMemory(machine, saved, directory);
        // Controllers before devices: a line that a device drives again must not look like a new edge.
        machine.Platform.Clock.Set(saved.Clock, saved.ClockStoppedAt ?? saved.SavedAt);
        vcpus.Load(states);
        machine.Platform.Engine.LoadInterruptControllers(saved.InterruptControllers);
        machine.Platform.Devices.Load(saved.Devices);
    }

    /// <summary>The guest goes by the ids that it found when it started; here they follow from the spec.</summary>
    private static unsafe void CheckApicIds(MachineSpec spec, SavedMachine saved, CpuStateBuffer states)
    {
        var topology = CpuLayout.Of(spec);
        var apics = saved.InterruptControllers.LocalApics;
        for (int index = 0; index < Math.Min(states.Count, apics.Count); index++)
        {
            bool wide = (states[index]->Msr.ApicBase & LocalApic.BaseX2ApicEnable) != 0;
            uint expected = topology[index].ApicId;
            if (apics[index].Id is { } register && (wide ? register : register >> 24) is var id && id != expected)
            {
                throw new InvalidDataException($"vCPU {index} has APIC id {id} in the saved state; a machine of its spec has {expected} there.");
            }
        }
    }

    private static void LoadMemory(VirtualMachine machine, SavedMachine saved, string directory)
    {
        var regions = StateSaver.RegionsOf(machine).ToDictionary(region => region.Name);
        foreach (var region in saved.Memory)
        {
            if (!regions.Remove(region.Name, out var target))
            {
                throw new InvalidDataException($"The machine has no memory '{region.Name}', or the state has it twice.");
            }

            if (region.File != Path.GetFileName(region.File) || region.File is "" or "." or "..")
            {
                throw new InvalidDataException($"'{region.File}' is not the name of a file in the saved state.");
            }

            LoadRegion(target, region, Path.Combine(directory, region.File));
        }

        if (regions.Count > 0)
        {
            throw new InvalidDataException($"The state has no contents for memory '{string.Join("', '", regions.Keys)}'.");
        }
    }

    private static void LoadRegion(GuestMemoryRegion target, SavedRegion saved, string path)
    {
        using var file = HandedFiles.OfProcess.Open(path);
        if (saved.Size != target.Size || (ulong)UntrustedFile.Length(file, path) != target.Size)
        {
            throw new InvalidDataException($"'{path}' is not of the {target.Size} bytes that memory '{target.Name}' has.");
        }

        SparseFile.Copy(file, target.File.Descriptor);
    }
}
