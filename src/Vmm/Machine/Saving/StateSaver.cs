using System.Text.Json;
using System.Text.Json.Nodes;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Host;
using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Machine.Saving;

/// <summary>Writes a machine's complete state to a directory, at once or not at all; the machine goes on afterwards either way.</summary>
public static class StateSaver
{
    /// <summary>Saves. A state that the directory holds already is replaced in one step.</summary>
    /// <param name="progress">Told how much of guest memory is done, in percent, each time that grows; on the machine's thread.</param>
    /// <param name="cancellation">Gives up: nothing is left behind.</param>
    /// <returns>Bytes of memory written; pages of zeros are not.</returns>
    /// <exception cref="IOException">The directory is something else, or the host could not write; nothing is left behind.</exception>
    public static Task<long> Save(VirtualMachine machine, string directory, Action<int>? progress = null, CancellationToken cancellation = default)
    {
        string final = Path.TrimEndingDirectorySeparator(Path.GetFullPath(directory));
        return machine.WhileStill(vcpus => Save(machine, vcpus, final, progress ?? (_ => { }), cancellation));
    }

    private static long Save(VirtualMachine machine, VcpuGroup vcpus, string final, Action<int> progress, CancellationToken cancellation)
    {
        RefuseToReplace(final);
        string parent = Path.GetDirectoryName(final) ?? throw new IOException($"'{final}' is no place for a saved state.");
        string temporary = $"{final}.saving-{Environment.ProcessId}-{Guid.NewGuid():n}";
        try
        {
            Directory.CreateDirectory(parent);
            Directory.CreateDirectory(temporary, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            long written = WriteMemory(machine, temporary, progress, cancellation, out var regions);
            WriteDescription(Path.Combine(temporary, SavedMachine.FileName), Describe(machine, vcpus, regions));
            DurableFiles.SynchronizeDirectory(temporary);
            bool replaced = DurableFiles.PublishReplacing(temporary, final);
            DurableFiles.SynchronizeDirectory(parent);
            if (replaced)
            {
                Directory.Delete(temporary, recursive: true);
            }

            return written;
        }
        catch (Exception failure)
        {
            Discard(temporary);
            if (failure is LinuxException or UnauthorizedAccessException or InvalidOperationException)
            {
                throw new IOException($"The state cannot be saved to '{final}': {failure.Message}", failure);
            }

            throw;
        }
    }

    /// <summary>Only a saved state or an empty directory is replaced: a slip of the hand must not cost a home directory.</summary>
    private static void RefuseToReplace(string final)
    {
        if (File.Exists(final) || (Directory.Exists(final) && Directory.EnumerateFileSystemEntries(final).Any() && !File.Exists(Path.Combine(final, SavedMachine.FileName))))
        {
            throw new IOException($"'{final}' exists and is no saved state.");
        }
    }

    private static long WriteMemory(VirtualMachine machine, string directory, Action<int> progress, CancellationToken cancellation, out List<SavedRegion> saved)
    {
        saved = [];
        long written = 0;
        long passed = 0;
        long total = RegionsOf(machine).Sum(region => (long)region.Size);
        int told = 0;
        foreach (var region in RegionsOf(machine))
        {
            string file = $"{region.Name}.memory";
            using var target = SparseFile.Open(Path.Combine(directory, file), write: true);
            written += SparseFile.Copy(region.File.Descriptor, target, Reached, cancellation);
            DurableFiles.Synchronize(target);
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

        return written;
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
            Spec = ToElement(MachineSpecJson.Write(machine.Spec)),
            Vcpus = [.. saved.Select(ToElement)],
            InterruptControllers = machine.Platform.Engine.SaveInterruptControllers(),
            Devices = machine.Platform.Devices.Save(),
            Memory = regions,
        };
    }

    private static JsonElement ToElement(JsonObject json) => JsonSerializer.SerializeToElement(json, SavedMachineJson.Strict.JsonObject);

    private static void WriteDescription(string path, SavedMachine description)
    {
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(description, SavedMachineJson.Strict.SavedMachine);
        using var file = SparseFile.Open(path, write: true);
        SparseFile.Write(file, 0, json);
        DurableFiles.Synchronize(file);
    }

    private static void Discard(string temporary)
    {
        try
        {
            Directory.Delete(temporary, recursive: true);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            // What could not be created cannot be deleted either.
        }
    }
}
