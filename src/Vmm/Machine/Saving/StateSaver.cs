using System.Text.Json;
using System.Text.Json.Nodes;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Host;
using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Machine.Saving;

/// <summary>Writes a machine's complete state to files that it is given; the machine goes on afterwards either way.</summary>
public static class StateSaver
{
    private const string MemorySuffix = ".memory";

    /// <summary>The files that a state of this machine consists of, with their lengths in bytes; null for one that is known only when it is written.</summary>
    public static IReadOnlyDictionary<string, long?> FilesOf(VirtualMachine machine)
    {
        Dictionary<string, long?> files = new(StringComparer.Ordinal) { [SavedMachine.FileName] = null };
        foreach (var region in RegionsOf(machine))
        {
            files.Add(region.Name + MemorySuffix, (long)region.Size);
        }

        return files;
    }

    /// <summary>Saves. Making the files, making them durable and giving them their place is <see cref="SavedStateFolder"/>'s.</summary>
    /// <param name="files">Empty files, by the names that <see cref="FilesOf"/> gives; still the caller's.</param>
    /// <param name="progress">Told how much of guest memory is done, in percent, each time that grows; on a thread of the save's own.</param>
    /// <param name="cancellation">Gives up; what the files hold is no state then.</param>
    /// <returns>Bytes of memory written; pages of zeros are not.</returns>
    /// <exception cref="IOException">A file is missing, the host could not write, or a device could not save its state.</exception>
    /// <exception cref="DevicesBusyException">A device did not come to rest.</exception>
    public static Task<long> Save(VirtualMachine machine, IReadOnlyDictionary<string, FileDescriptor> files, Action<int>? progress = null, CancellationToken cancellation = default) =>
        machine.WhileStill((vcpus, ending) => Save(machine, vcpus, files, progress ?? (_ => { }), ending, cancellation));

    /// <summary>Saves to a directory, at once or not at all, from the machine's own process. A state that the directory holds already is replaced in one step.</summary>
    /// <inheritdoc cref="Save(VirtualMachine, IReadOnlyDictionary{string, FileDescriptor}, Action{int}?, CancellationToken)"/>
    public static Task<long> Save(VirtualMachine machine, string directory, Action<int>? progress = null, CancellationToken cancellation = default) =>
        SavedStateFolder.WriteAsync(directory, FilesOf(machine), files => Save(machine, files, progress, cancellation));

    private static async Task<long> Save(
        VirtualMachine machine, VcpuGroup vcpus, IReadOnlyDictionary<string, FileDescriptor> files, Action<int> progress, CancellationToken ending, CancellationToken cancellation)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(ending, cancellation);
        try
        {
            // What takes long does not keep the machine's thread from hearing that the machine is to end.
            var (written, regions) = await Task.Factory.StartNew(
                () => WriteMemory(machine, files, progress, either.Token), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            byte[] description = JsonSerializer.SerializeToUtf8Bytes(Describe(machine, vcpus, regions), SavedMachineJson.Strict.SavedMachine);
            SparseFile.Write(Of(files, SavedMachine.FileName), 0, description);
            return written;
        }
        catch (Exception failure) when (failure is LinuxException or InvalidOperationException)
        {
            throw new IOException($"The state cannot be saved: {failure.Message}", failure);
        }
    }

    private static FileDescriptor Of(IReadOnlyDictionary<string, FileDescriptor> files, string name) =>
        files.GetValueOrDefault(name) ?? throw new IOException($"There is no file for '{name}'.");

    private static (long Written, List<SavedRegion> Regions) WriteMemory(
        VirtualMachine machine, IReadOnlyDictionary<string, FileDescriptor> files, Action<int> progress, CancellationToken cancellation)
    {
        var saved = new List<SavedRegion>();
        long written = 0;
        long passed = 0;
        long total = RegionsOf(machine).Sum(region => (long)region.Size);
        int told = 0;
        foreach (var region in RegionsOf(machine))
        {
            string file = region.Name + MemorySuffix;
            written += SparseFile.Copy(region.File.Descriptor, Of(files, file), Reached, cancellation);
            passed += (long)region.Size;
            saved.Add(new SavedRegion(region.Name, region.Size, file));
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

        return (written, saved);
    }

    internal static IEnumerable<GuestMemoryRegion> RegionsOf(VirtualMachine machine) =>
        machine.Platform.Memory.Regions.Where(region => region.Kind == GuestMemoryKind.Ram).Concat(machine.Platform.Devices.MemoryRegions).Distinct();

    private static unsafe SavedMachine Describe(VirtualMachine machine, VcpuGroup vcpus, List<SavedRegion> regions)
    {
        using var states = new CpuStateBuffer(vcpus.Count);
        vcpus.Save(states);
        var saved = new JsonObject[vcpus.Count];
        for (int index = 0; index < saved.Length; index++)
        {
            saved[index] = VcpuStateJson.Write(states[index]);
        }

        return new SavedMachine
        {
            Schema = SavedMachine.CurrentSchema,
            Engine = machine.EngineName,
            SavedAt = DateTimeOffset.UtcNow,
            Clock = machine.Time,
            ClockStoppedAt = machine.Platform.Clock.StoppedAt,
            Spec = ToElement(MachineSpecJson.Write(machine.Spec)),
            Cpu = machine.Platform.Engine.Processor,
            Vcpus = [.. saved.Select(ToElement)],
            InterruptControllers = machine.Platform.Engine.SaveInterruptControllers(),
            Devices = machine.Platform.Devices.Save(),
            Memory = regions,
        };
    }

    private static JsonElement ToElement(JsonObject json) => JsonSerializer.SerializeToElement(json, SavedMachineJson.Strict.JsonObject);
}
