using System.Text.Json;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Machine.Assembly;
using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.State;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Machine.Saving;

/// <summary>A state that was read and found sound, as far as that can be told without a machine.</summary>
internal sealed class SavedMachine : IDisposable
{
    /// <summary>That are told. Whoever makes a state can make any number.</summary>
    private const int MostFaults = 100;

    public required MachineSpec Spec { get; init; }

    /// <summary>The processor that the guest met, and goes on with; null where the host's it was.</summary>
    public required CpuDescription? Cpu { get; init; }

    public required IReadOnlyList<StateContents> Memory { get; init; }

    public required ClockRecord Clock { get; init; }

    public required CpuStateBuffer Vcpus { get; init; }

    public required InterruptControllerState InterruptControllers { get; init; }

    /// <summary>Not read yet: their schemas are the devices'.</summary>
    public required IReadOnlyList<StateSection> Devices { get; init; }

    public void Dispose() => Vcpus.Dispose();

    /// <summary>Reads all sections, and looks what the host lacks. Nothing has been made yet.</summary>
    /// <param name="changed">What becomes of the spec here.</param>
    /// <exception cref="InvalidDataException">No machine of this build can be put into the state on this host. Every reason is
    /// named.</exception>
    public static SavedMachine Read(IStateSource source, Func<MachineSpec, MachineSpec> changed, DeviceCatalogue? catalogue)
    {
        var faults = new List<string>();
        var reader = new SectionReader(source.ReadSections(), faults);
        reader.TryTake(StateUnits.Machine, SavedRecords.Machine, out var machine);
        var spec = machine is null ? null : ReadSpec(machine.Spec, reader, catalogue, faults);
        CpuDescription? cpu = null;
        if (!reader.Has(StateUnits.Cpu) || reader.TryTake(StateUnits.Cpu, SavedRecords.Cpu, out cpu))
        {
            cpu = Processor(machine, spec, cpu, faults);
        }

        var memory = reader.TryTake(StateUnits.Memory, SavedRecords.Memory, out var regions) ? regions.Regions : [];
        if (memory.Count > SavedStateFolder.MaximumFiles)
        {
            faults.Add($"The state has {memory.Count} regions of memory; there may be {SavedStateFolder.MaximumFiles}.");
            memory = [];
        }

        reader.TryTake(StateUnits.Clock, SavedRecords.Clock, out var clock);
        if (clock is { Time: < 0 or > VirtualClock.Latest })
        {
            faults.Add($"The saved clock is not 0 to {VirtualClock.Latest} ns.");
        }

        // Without a sound spec nobody knows how many there are.
        var vcpus = new CpuStateBuffer(spec?.Cpus ?? 1);
        try
        {
            ReadVcpus(reader, vcpus, faults);
            var controllers = ReadControllers(reader, vcpus.Count);
            if (spec is not null && controllers is not null && faults.Count == 0)
            {
                CheckApicIds(spec, controllers, vcpus, faults);
            }

            var devices = reader.TakeDevices();
            if (spec is not null)
            {
                reader.RefuseOthers();
                spec = changed(spec);
            }

            HostNeeds.Check(spec, cpu, source, memory, faults);
            return faults.Count > 0 || spec is null || clock is null || controllers is null
                ? throw Refused(source, faults)
                : new SavedMachine
            {
                Spec = spec,
                Cpu = cpu,
                Memory = memory,
                Clock = clock,
                Vcpus = vcpus,
                InterruptControllers = controllers,
                Devices = devices,
            };
        }
        catch
        {
            vcpus.Dispose();
            throw;
        }
    }

    /// <summary>What a state is refused with.</summary>
    public static InvalidDataException Refused(IStateSource source, List<string> faults)
    {
        var told = faults.Distinct().Take(MostFaults)
            .Select(fault => fault.Contains(source.Name, StringComparison.Ordinal) ? fault : $"{source.Name}: {fault}");
        return new(string.Join(Environment.NewLine, faults.Count > MostFaults ? told.Append($"{source.Name}: there is more.") : told));
    }

    /// <summary>
    /// The spec, with the devices that the machine had when it was saved; null where it cannot be read. What else is wrong with it is
    /// noted.
    /// </summary>
    private static MachineSpec? ReadSpec(JsonElement json, SectionReader reader, DeviceCatalogue? catalogue, List<string> faults)
    {
        var devices = reader.Has(StateUnits.Devices) && reader.TryTake(StateUnits.Devices, SavedRecords.Devices, out var record)
            ? record.Devices
            : null;
        var spec = MachineSpecJson.Read(json, out var found, catalogue);
        if (spec is not null && devices is not null)
        {
            spec = spec with { Devices = devices, Display = null, Hpet = false };
            found = spec.Validate(catalogue);
        }

        faults.AddRange(found.Select(fault => $"The machine cannot be made here: {fault}"));
        return spec;
    }

    private static CpuDescription? Processor(MachineRecord? machine, MachineSpec? spec, CpuDescription? known, List<string> faults)
    {
        try
        {
            return known ?? (machine is null || spec is null ? null : EarlierProcessor.Of(machine.Engine, spec));
        }
        catch (InvalidDataException refused)
        {
            faults.Add(refused.Message);
            return null;
        }
    }

    private static unsafe void ReadVcpus(SectionReader reader, CpuStateBuffer states, List<string> faults)
    {
        for (int index = 0; index < states.Count; index++)
        {
            if (!reader.TryTake(StateUnits.Vcpu(index), SavedRecords.Vcpu, out var json))
            {
                continue;
            }

            try
            {
                VcpuStateJson.Read(json, states[index]);
            }
            catch (InvalidDataException fault)
            {
                faults.Add($"vCPU {index}: {fault.Message}");
            }
        }
    }

    /// <summary>Null if one is missing or cannot be read.</summary>
    private static InterruptControllerState? ReadControllers(SectionReader reader, int cpus)
    {
        reader.TryTake(StateUnits.Pics, SavedRecords.Pics, out var pics);
        reader.TryTake(StateUnits.IoApic, SavedRecords.IoApic, out var ioApic);
        reader.TryTake(StateUnits.Pit, SavedRecords.Pit, out var pit);
        var apics = new List<LocalApicState>();
        for (int index = 0; index < cpus; index++)
        {
            if (reader.TryTake(StateUnits.LocalApic(index), SavedRecords.LocalApic, out var apic))
            {
                apics.Add(apic);
            }
        }

        return pics is null || ioApic is null || pit is null || apics.Count < cpus ? null : new InterruptControllerState
        {
            PrimaryPic = pics.Primary,
            SecondaryPic = pics.Secondary,
            IoApic = ioApic,
            Pit = pit,
            LocalApics = apics,
        };
    }

    /// <summary>The guest goes by the ids that it found when it started; here they follow from the spec.</summary>
    private static unsafe void CheckApicIds(
        MachineSpec spec, InterruptControllerState controllers, CpuStateBuffer states, List<string> faults)
    {
        var topology = CpuLayout.Of(spec);
        for (int index = 0; index < states.Count; index++)
        {
            bool wide = (states[index]->Msr.ApicBase & LocalApic.BaseX2ApicEnable) != 0;
            uint expected = topology[index].ApicId;
            if (controllers.LocalApics[index].Id is { } register && (wide ? register : register >> 24) is var id && id != expected)
            {
                faults.Add($"vCPU {index} has APIC id {id} in the saved state; a machine of its spec has {expected} there.");
            }
        }
    }
}
