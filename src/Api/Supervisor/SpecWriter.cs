using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Images;
using WebVm.Api.Operations;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;
using WebVm.Vmm.Cpu;
using WebVm.Vmm.Machine.Spec;
using EngineChoice = WebVm.Vmm.Machine.Spec.EngineChoice;

namespace WebVm.Api.Supervisor;

/// <summary>Turns a VM's configuration into the monitor's machine spec.</summary>
internal sealed class SpecWriter(ImageStore store)
{
    /// <exception cref="OperationFailedException">An image is gone.</exception>
    public async Task<MachineSpec> CreateAsync(Vm vm, WebVmDbContext database, CancellationToken cancellation)
    {
        var configuration = vm.Configuration;
        var spec = new MachineSpec
        {
            Name = vm.Name,
            Engine = Enum.Parse<EngineChoice>(configuration.Engine.ToString()),
            Cpus = configuration.Cpus,
            CpuFeatures = configuration.Cpu.Features.La57 ? CpuFeatures.La57 : CpuFeatures.None,
            Memory = (ulong)configuration.Memory,
            Numa = [.. configuration.Numa.Select(node => new NumaNodeSpec
            {
                Cpus = new CpuSet(node.Cpus.Aggregate(0UL, (mask, cpu) => mask | (1UL << cpu))),
                Memory = (ulong)node.Memory,
                Distances = node.Distances.Count == 0 ? null : [.. node.Distances.Select(distance => (byte)distance)],
            })],
            Boot = await BootAsync(configuration.Boot, database, cancellation),
            Display = configuration.Display.Enabled ? new DisplaySpec(configuration.Display.Width, configuration.Display.Height) : null,
        };
        var faults = spec.Validate();
        return faults.Count == 0 ? spec : throw new OperationFailedException($"The machine cannot be built: {string.Join("; ", faults.Select(fault => $"{fault.Pointer} {fault.Message}"))}.");
    }

    public static async Task WriteAsync(RunDirectory run, MachineSpec spec, CancellationToken cancellation)
    {
        Directory.CreateDirectory(run.Path);
        JsonObject json = MachineSpecJson.Write(spec);
        await File.WriteAllTextAsync(run.Spec, json.ToJsonString(new JsonSerializerOptions { WriteIndented = true }), cancellation);
    }

    private async Task<BootSpec> BootAsync(BootConfiguration boot, WebVmDbContext database, CancellationToken cancellation)
    {
        if (boot.Kernel is not null)
        {
            return new BootSpec
            {
                Kernel = store.Content((await FindAsync(boot.Kernel, database, cancellation)).Id),
                Initrd = boot.Initrd is null ? null : store.Content((await FindAsync(boot.Initrd, database, cancellation)).Id),
                CommandLine = boot.CommandLine ?? "",
            };
        }

        var bundle = await FindAsync(boot.Image ?? throw new OperationFailedException("The VM has nothing to boot from."), database, cancellation);
        return new BootSpec
        {
            Kernel = store.Kernel(bundle.Id),
            Initrd = store.Initrd(bundle.Id),
            CommandLine = boot.CommandLine ?? await File.ReadAllTextAsync(store.CommandLine(bundle.Id), cancellation),
        };
    }

    private static async Task<Image> FindAsync(string name, WebVmDbContext database, CancellationToken cancellation) =>
        await database.Images.AsNoTracking().SingleOrDefaultAsync(image => image.Name == name && image.State == ImageState.Ready, cancellation)
        ?? throw new OperationFailedException($"There is no image \"{name}\" that is complete.");
}
