using System.Text.Json;
using WebVm.Vmm.Host;
using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Memory;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Machine.Saving;

/// <summary>Writes a machine's complete state to where it is told; the machine goes on afterwards either way.</summary>
public static class StateSaver
{
    /// <summary>
    /// The files that a state of this machine consists of, with their lengths in bytes; null for one that is known only when it is written.
    /// </summary>
    public static IReadOnlyDictionary<string, long?> FilesOf(VirtualMachine machine)
    {
        Dictionary<string, long?> files = new(StringComparer.Ordinal) { [SavedStateFolder.FileName] = null };
        foreach (var region in RegionsOf(machine))
        {
            files.Add(SavedStateFolder.FileOf(region.Name), (long)region.Size);
        }

        return files;
    }

    /// <summary>Saves. Making the files, making them durable and giving them their place is <see cref="SavedStateFolder"/>'s.</summary>
    /// <param name="files">Empty files, by the names that <see cref="FilesOf"/> gives; still the caller's.</param>
    /// <param name="progress">Told how much of guest memory is done, in percent, each time that grows; on a thread of the save's
    /// own.</param>
    /// <param name="cancellation">Gives up; what the files hold is no state then.</param>
    /// <returns>Bytes of memory written; pages of zeros are not.</returns>
    /// <exception cref="IOException">A file is missing, the host could not write, or a device could not save its state.</exception>
    /// <exception cref="DevicesBusyException">A device did not come to rest.</exception>
    public static Task<long> Save(
        VirtualMachine machine, IReadOnlyDictionary<string, FileDescriptor> files, Action<int>? progress = null,
        CancellationToken cancellation = default) =>
        Save(machine, new FolderSink(files), progress, cancellation);

    /// <summary>Saves to a folder's files, to a stream or to whatever else there is.</summary>
    /// <inheritdoc cref="Save(VirtualMachine, IReadOnlyDictionary{string, FileDescriptor}, Action{int}?, CancellationToken)"/>
    public static Task<long> Save(
        VirtualMachine machine, IStateSink sink, Action<int>? progress = null, CancellationToken cancellation = default) =>
        machine.WhileStill((vcpus, ending) => Save(machine, vcpus, sink, progress ?? (_ => { }), ending, cancellation));

    /// <summary>
    /// Saves to a directory, at once or not at all, from the machine's own process. A state that the directory holds already is replaced in
    /// one step.
    /// </summary>
    /// <inheritdoc cref="Save(VirtualMachine, IReadOnlyDictionary{string, FileDescriptor}, Action{int}?, CancellationToken)"/>
    public static Task<long> Save(
        VirtualMachine machine, string directory, Action<int>? progress = null, CancellationToken cancellation = default) =>
        SavedStateFolder.WriteAsync(directory, FilesOf(machine), files => Save(machine, files, progress, cancellation));

    private static async Task<long> Save(
        VirtualMachine machine, VcpuGroup vcpus, IStateSink sink, Action<int> progress, CancellationToken ending,
        CancellationToken cancellation)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(ending, cancellation);
        try
        {
            var sections = Describe(machine, vcpus);
            // What takes long does not keep the machine's thread from hearing that the machine is to end.
            return await Task.Factory.StartNew(
                () => Write(machine, sink, sections, progress, either.Token), CancellationToken.None, TaskCreationOptions.LongRunning,
                TaskScheduler.Default);
        }
        catch (Exception failure) when (failure is LinuxException or InvalidOperationException)
        {
            throw new IOException($"The state cannot be saved: {failure.Message}", failure);
        }
    }

    private static long Write(
        VirtualMachine machine, IStateSink sink, List<StateSection> sections, Action<int> progress, CancellationToken cancellation)
    {
        sink.WriteSections(sections);
        long written = WriteMemory(machine, sink, progress, cancellation);
        sink.Complete();
        return written;
    }

    private static long WriteMemory(VirtualMachine machine, IStateSink sink, Action<int> progress, CancellationToken cancellation)
    {
        long written = 0;
        long passed = 0;
        long total = RegionsOf(machine).Sum(region => (long)region.Size);
        int told = 0;
        foreach (var region in RegionsOf(machine))
        {
            machine.Platform.Memory.FillAbsent(region);
            written += sink.WriteContents(ContentsOf(region), region.File.Descriptor, Reached, cancellation);
            passed += (long)region.Size;
        }

        void Reached(long offset)
        {
            int percent = (int)((passed + offset) * 100 / total);
            if (percent > told)
            {
                told = percent;
                progress(percent);
            }
        }

        return written;
    }

    internal static IEnumerable<GuestMemoryRegion> RegionsOf(VirtualMachine machine) =>
        machine.Platform.Memory.AllRegions.Where(region => region.Kind == GuestMemoryKind.Ram)
            .Concat(machine.Platform.Devices.MemoryRegions)
            .Distinct();

    private static StateContents ContentsOf(GuestMemoryRegion region) => new(region.Name, region.Size);

    /// <summary>All sections, in the order of <see cref="StateUnits"/>.</summary>
    private static List<StateSection> Describe(VirtualMachine machine, VcpuGroup vcpus)
    {
        var platform = machine.Platform;
        var now = DateTimeOffset.UtcNow;
        var controllers = platform.Engine.SaveInterruptControllers();
        var spec = JsonSerializer.SerializeToElement(
            MachineSpecJson.Write(machine.Spec with { Devices = null }), SavedRecordsJson.Strict.JsonObject);
        return
        [
            SavedRecords.Machine.Write(StateUnits.Machine, new MachineRecord(machine.EngineName, now, spec)),
            SavedRecords.Cpu.Write(StateUnits.Cpu, platform.Engine.Processor),
            SavedRecords.Devices.Write(StateUnits.Devices, new DevicesRecord(platform.DeviceList)),
            SavedRecords.Memory.Write(StateUnits.Memory, new MemoryRecord([.. RegionsOf(machine).Select(ContentsOf)])),
            SavedRecords.Clock.Write(StateUnits.Clock, new ClockRecord(machine.Time, platform.Clock.StoppedAt ?? now)),
            .. Describe(vcpus),
            SavedRecords.Pics.Write(StateUnits.Pics, new PicsRecord(controllers.PrimaryPic, controllers.SecondaryPic)),
            SavedRecords.IoApic.Write(StateUnits.IoApic, controllers.IoApic),
            SavedRecords.Pit.Write(StateUnits.Pit, controllers.Pit),
            .. controllers.LocalApics.Select((apic, index) => SavedRecords.LocalApic.Write(StateUnits.LocalApic(index), apic)),
            .. platform.Devices.Save(),
        ];
    }

    private static unsafe StateSection[] Describe(VcpuGroup vcpus)
    {
        using var states = new CpuStateBuffer(vcpus.Count);
        vcpus.Save(states);
        var sections = new StateSection[vcpus.Count];
        for (int index = 0; index < sections.Length; index++)
        {
            var registers = JsonSerializer.SerializeToElement(VcpuStateJson.Write(states[index]), SavedRecordsJson.Strict.JsonObject);
            sections[index] = SavedRecords.Vcpu.Write(StateUnits.Vcpu(index), registers);
        }

        return sections;
    }
}
