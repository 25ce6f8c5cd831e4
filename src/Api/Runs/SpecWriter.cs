using System.Text;
using System.Text.Json;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Images;
using WebVm.Api.Operations;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;
using WebVm.Vmm.Control;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Machine.Spec;

namespace WebVm.Api.Runs;

/// <summary>
/// Turns a VM's configuration, or the state that it goes on from, into what its monitor is started with. The images are named "kernel" and
/// "initrd" there, and handed under these names.
/// </summary>
internal sealed class SpecWriter(ImageStore store)
{
    private const string SpecName = "spec";
    private const string KvmDevice = "/dev/kvm";
    private static readonly JsonSerializerOptions s_indented = new() { WriteIndented = true };

    /// <summary>Writes what the run needs into its folder.</summary>
    /// <param name="saved">The folder of the state to go on from; null to power on.</param>
    /// <exception cref="OperationFailedException">An image is gone, or the state is not one.</exception>
    public async Task<MonitorInput> PrepareAsync(
        RunDirectory run, Vm vm, string? saved, WebVmDbContext database, CancellationToken cancellation)
    {
        var (spec, boot) = await CreateAsync(vm, database, cancellation);
        run.Create();
        PrivateFile.Write(run.Spec, Encoding.UTF8.GetBytes(MachineSpecJson.Write(spec).ToJsonString(s_indented)));
        bool kvm = spec.Engine != EngineChoice.Soft && CanUseKvm();
        // Said beside the spec, so that a monitor knows before it reads one whether it needs KVM.
        string[] arguments = ["--engine", MachineSpecJson.Name(spec.Engine)];
        if (saved is null)
        {
            boot.Write(run.Path);
            return new MonitorInput([.. arguments, "--spec", SpecName], [(SpecName, run.Spec), .. boot.Find(store)], kvm, LargestFile([]));
        }

        // A state of an older build names its images itself.
        var before = BootFiles.Read(saved);
        before?.Write(run.Path);
        var state = SavedFiles.Find(saved);
        return new MonitorInput(
            [.. arguments, "--restore", SavedFiles.FolderName, "--clock", MachineSpecJson.Name(spec.Clock)],
            [.. state, .. before?.Find(store) ?? BootFiles.FindInDescription(saved, store)], kvm, LargestFile(state));

        // A state has the memory that its machine had.
        long LargestFile(IReadOnlyList<(string Name, string Path)> of) =>
            of.Select(file => new FileInfo(file.Path).Length).Append((long)spec.Memory).Append(ControlClient.LongestPicture).Max();
    }

    // Whom it does not let in, the monitor has to do without, or says so.
    private static bool CanUseKvm()
    {
        try
        {
            using var device = File.OpenHandle(KvmDevice, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
            return true;
        }
        catch (Exception closed) when (closed is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    /// <exception cref="OperationFailedException">An image is gone.</exception>
    private async Task<(MachineSpec Spec, BootFiles Boot)> CreateAsync(Vm vm, WebVmDbContext database, CancellationToken cancellation)
    {
        var configuration = vm.Configuration;
        var (boot, files) = await BootAsync(configuration.Boot, database, cancellation);
        var spec = new MachineSpec
        {
            Name = vm.Name,
            Engine = configuration.Engine,
            Cpus = configuration.Cpus,
            Cpu = Processor(configuration.Cpu),
            Clock = configuration.Clock,
            Memory = (ulong)configuration.Memory,
            Numa = [.. configuration.Numa.Select(node => new NumaNodeSpec
            {
                Cpus = new CpuSet(node.Cpus.Aggregate(0UL, (mask, cpu) => mask | (1UL << cpu))),
                Memory = (ulong)node.Memory,
                Distances = node.Distances.Count == 0 ? null : [.. node.Distances.Select(distance => (byte)distance)],
            })],
            Boot = boot,
            Display = configuration.Display.Enabled ? new DisplaySpec(configuration.Display.Width, configuration.Display.Height) : null,
        };
        var faults = spec.Validate();
        return faults.Count == 0
            ? (spec, files)
            : throw new OperationFailedException(
                $"The machine cannot be built: {string.Join("; ", faults.Select(fault => $"{fault.Pointer} {fault.Message}"))}.");
    }

    /// <summary>The processor in the monitor's words.</summary>
    internal static CpuSpec Processor(CpuConfiguration cpu)
    {
        _ = CpuModels.TryParse(cpu.Model, out var model);
        var features = new SortedDictionary<string, bool>(StringComparer.Ordinal);
        if (cpu.Features.La57)
        {
            features["la57"] = true;
        }

        foreach (string added in cpu.AddedFeatures)
        {
            features[added] = true;
        }

        foreach (string removed in cpu.RemovedFeatures)
        {
            features[removed] = false;
        }

        CpuVendor? vendor = cpu.Vendor switch { CpuVendorChoice.Intel => CpuVendor.Intel, CpuVendorChoice.Amd => CpuVendor.Amd, _ => null };
        return new CpuSpec { Model = model, Vendor = vendor, Features = features };
    }

    private async Task<(BootSpec Spec, BootFiles Files)> BootAsync(
        BootConfiguration boot, WebVmDbContext database, CancellationToken cancellation)
    {
        if (boot.Kernel is not null)
        {
            string kernel = store.Content((await FindAsync(boot.Kernel, database, cancellation)).Id);
            string? initrd = boot.Initrd is null ? null : store.Content((await FindAsync(boot.Initrd, database, cancellation)).Id);
            return Name(kernel, initrd, boot.CommandLine ?? "");
        }

        var bundle = await FindAsync(
            boot.Image ?? throw new OperationFailedException("The VM has nothing to boot from."), database, cancellation);
        return Name(
            store.Kernel(bundle.Id), store.Initrd(bundle.Id),
            boot.CommandLine ?? await File.ReadAllTextAsync(store.CommandLine(bundle.Id), cancellation));

        (BootSpec Spec, BootFiles Files) Name(string kernel, string? initrd, string commandLine) => (
            new BootSpec { Kernel = BootFiles.KernelName, Initrd = initrd is null
                ? null
                : BootFiles.InitrdName, CommandLine = commandLine },
            BootFiles.Of(store, kernel, initrd));
    }

    private static async Task<Image> FindAsync(string name, WebVmDbContext database, CancellationToken cancellation) =>
        await database.Images.AsNoTracking()
            .SingleOrDefaultAsync(image => image.Name == name && image.State == ImageState.Ready, cancellation)
        ?? throw new OperationFailedException($"There is no image \"{name}\" that is complete.");
}
