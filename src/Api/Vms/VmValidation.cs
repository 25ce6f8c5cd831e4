using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;
using WebVm.Api.Conventions;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;
using WebVm.Api.Runs;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Devices.Display.Bochs;
using WebVm.Vmm.Machine.Spec;

namespace WebVm.Api.Vms;

/// <summary>
/// Every fault of a VM's settings, each with its field. What there may be says the monitor; memory is given out by the mebibyte here.
/// </summary>
internal static class VmValidation
{
    public const int MostFeatures = 256;
    public const long Mebibyte = 1L << 20;
    public const long LeastMemory = (long)MachineSpec.MinimumMemory;
    public const long MostMemory = (long)MachineSpec.MaximumMemory;
    public const int LongestDescription = 4096;
    public const int MostLabels = 64;
    public const int LongestLabelValue = 255;

    public static async ValueTask CheckAsync(VmSettings vm, BodyCheck check)
    {
        // Nodes are compared with the whole machine: of one that is unknown nothing can be said.
        bool whole = check.IsSound("/cpus") && check.IsSound("/memory") && check.IsSound("/numa");
        List<FieldFault> faults = [.. Names.Check(
            "/name", vm.Name), .. CheckDescription(vm), .. CheckSize(vm), .. CheckProcessor(vm.Cpu), .. whole ? CheckNuma(vm) : [],
            .. CheckDisplay(vm.Display), .. CheckAutostart(vm.Autostart)];
        await CheckBootAsync(
            vm.Boot, check.Context.RequestServices.GetRequiredService<WebVmDbContext>(), faults, check.Context.RequestAborted);
        check.Add(faults);
    }

    private static IEnumerable<FieldFault> CheckDescription(VmSettings vm)
    {
        if (vm.Description.Length > LongestDescription)
        {
            yield return new("/description", $"has more than {LongestDescription} characters");
        }

        if (vm.Labels.Count > MostLabels)
        {
            yield return new("/labels", $"has more than {MostLabels} entries");
        }

        foreach (var (name, value) in vm.Labels)
        {
            string pointer = "/labels/" + name.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal);
            foreach (var fault in Names.Check(pointer, name))
            {
                yield return fault with { Message = "has a name that " + fault.Message };
            }

            if (value is null || value.Length > LongestLabelValue)
            {
                yield return new(pointer, $"must be text of at most {LongestLabelValue} characters");
            }
        }
    }

    /// <summary>What no engine can give. Whether an engine has a feature on a host is seen at the start there.</summary>
    private static IEnumerable<FieldFault> CheckProcessor(CpuConfiguration cpu)
    {
        if (!CpuModels.TryParse(cpu.Model, out _))
        {
            yield return new("/cpu/model", $"must be one of {string.Join(", ", CpuModels.All.Select(model => model.Name()))}");
        }

        if (cpu.AddedFeatures.Count + cpu.RemovedFeatures.Count > MostFeatures)
        {
            yield return new("/cpu/addedFeatures", $"and removedFeatures name more than {MostFeatures} features");
            yield break;
        }

        for (int i = 0; i < cpu.AddedFeatures.Count; i++)
        {
            if (cpu.RemovedFeatures.Contains(cpu.AddedFeatures[i]))
            {
                yield return new($"/cpu/addedFeatures/{i}", $"names {cpu.AddedFeatures[i]}, which is in removedFeatures too");
            }
        }

        foreach (var (feature, fault) in SpecWriter.Processor(cpu).Faults())
        {
            int added = cpu.AddedFeatures.ToList().IndexOf(feature);
            int removed = cpu.RemovedFeatures.ToList().IndexOf(feature);
            string pointer = removed >= 0
                ? $"/cpu/removedFeatures/{removed}"
                : added >= 0 ? $"/cpu/addedFeatures/{added}" : $"/cpu/features/{feature}";
            yield return new(pointer, $"cannot name {feature}: {fault}");
        }
    }

    private static IEnumerable<FieldFault> CheckSize(VmSettings vm)
    {
        if (vm.Cpus is < 1 or > MachineSpec.MaximumCpus)
        {
            yield return new("/cpus", $"must be between 1 and {MachineSpec.MaximumCpus}");
        }

        if (vm.Memory is < LeastMemory or > MostMemory || vm.Memory % Mebibyte != 0)
        {
            yield return new("/memory", $"must be a multiple of 1 MiB between {LeastMemory >> 20} MiB and {MostMemory >> 30} GiB");
        }
    }

    private static IEnumerable<FieldFault> CheckNuma(VmSettings vm)
    {
        if (vm.Numa.Count == 0)
        {
            yield break;
        }

        if (vm.Numa.Count > MachineSpec.MaximumNumaNodes)
        {
            yield return new("/numa", $"has more than {MachineSpec.MaximumNumaNodes} nodes");
            yield break;
        }

        var owner = new Dictionary<int, int>();
        long memory = 0;
        for (int n = 0; n < vm.Numa.Count; n++)
        {
            var node = vm.Numa[n];
            foreach (int cpu in node.Cpus)
            {
                if (cpu < 0 || cpu >= vm.Cpus)
                {
                    yield return new($"/numa/{n}/cpus", $"names CPU {cpu}, but there are CPUs 0 to {vm.Cpus - 1}");
                }
                else if (!owner.TryAdd(cpu, n))
                {
                    yield return new($"/numa/{n}/cpus", $"names CPU {cpu}, which is in node {owner[cpu]} already");
                }
            }

            if (node.Memory < (long)MachineSpec.MinimumNodeMemory || node.Memory % Mebibyte != 0)
            {
                yield return new(
                    $"/numa/{n}/memory", $"must be a multiple of 1 MiB, and at least {MachineSpec.MinimumNodeMemory >> 20} MiB");
            }

            memory += Math.Clamp(node.Memory, 0, MostMemory);
            if (node.Distances.Count != 0 && node.Distances.Count != vm.Numa.Count)
            {
                yield return new($"/numa/{n}/distances", $"must have one entry for each of the {vm.Numa.Count} nodes, or none");
            }
            else if (node.Distances.Where(
                (distance, to) => to == n
                    ? distance != NumaNodeSpec.LocalDistance
                    : distance is <= NumaNodeSpec.LocalDistance or > NumaNodeSpec.MaximumDistance).Any())
            {
                yield return new(
                    $"/numa/{n}/distances", $"must be {NumaNodeSpec.LocalDistance} to the node itself and {NumaNodeSpec.LocalDistance + 1} to {NumaNodeSpec.MaximumDistance} to others");
            }
        }

        if (owner.Count < vm.Cpus)
        {
            yield return new("/numa", $"leaves CPU {Enumerable.Range(0, vm.Cpus).First(cpu => !owner.ContainsKey(cpu))} without a node");
        }

        if (memory != vm.Memory)
        {
            yield return new("/numa", $"has nodes with {memory} bytes in all, but the VM has {vm.Memory}");
        }
    }

    private static IEnumerable<FieldFault> CheckDisplay(DisplayConfiguration display)
    {
        if (display.Width is < BochsDisplaySettings.MinimumWidth or > BochsDisplaySettings.MaximumWidth
            || display.Width % BochsDisplaySettings.WidthStep != 0)
        {
            yield return new(
                "/display/width", $"must be a multiple of {BochsDisplaySettings.WidthStep} between {BochsDisplaySettings.MinimumWidth} and {BochsDisplaySettings.MaximumWidth}");
        }

        if (display.Height is < BochsDisplaySettings.MinimumHeight or > BochsDisplaySettings.MaximumHeight)
        {
            yield return new(
                "/display/height", $"must be between {BochsDisplaySettings.MinimumHeight} and {BochsDisplaySettings.MaximumHeight}");
        }
    }

    private static IEnumerable<FieldFault> CheckAutostart(AutostartConfiguration autostart)
    {
        if (autostart.Order is < 0 or > 10_000)
        {
            yield return new("/autostart/order", "must be between 0 and 10000");
        }

        if (autostart.DelaySeconds is < 0 or > 3600)
        {
            yield return new("/autostart/delaySeconds", "must be between 0 and 3600");
        }
    }

    private static async Task CheckBootAsync(
        BootConfiguration boot, WebVmDbContext database, List<FieldFault> faults, CancellationToken cancellation)
    {
        if (boot.Kernel is null && boot.Initrd is not null)
        {
            faults.Add(new("/boot/initrd", "needs a kernel"));
        }

        if (boot.Kernel is null && boot.Image is null)
        {
            faults.Add(new("/boot", "needs an image or a kernel"));
        }

        if (boot.CommandLine is { } line && (line.Length > BootSpec.MaximumCommandLine || line.Any(c => c is < ' ' or > '~')))
        {
            faults.Add(new("/boot/commandLine", $"must be at most {BootSpec.MaximumCommandLine} printable ASCII characters"));
        }

        if (boot.Kernel is null)
        {
            await CheckImageAsync("/boot/image", boot.Image, ImageKind.Bundle, database, faults, cancellation);
        }

        await CheckImageAsync("/boot/kernel", boot.Kernel, ImageKind.Kernel, database, faults, cancellation);
        await CheckImageAsync("/boot/initrd", boot.Initrd, ImageKind.Initrd, database, faults, cancellation);
    }

    private static async Task CheckImageAsync(
        string pointer, string? name, ImageKind kind, WebVmDbContext database, List<FieldFault> faults, CancellationToken cancellation)
    {
        if (name is null)
        {
            return;
        }

        var image = await database.Images.AsNoTracking().SingleOrDefaultAsync(i => i.Name == name, cancellation);
        if (image is null)
        {
            faults.Add(new(pointer, $"names \"{name}\", but there is no such image"));
        }
        else if (image.Kind != kind)
        {
            faults.Add(
                new(pointer, $"names \"{name}\", which is of kind {image.Kind.ToString().ToLowerInvariant()}, not {kind.ToString().ToLowerInvariant()}"));
        }
        else if (image.State != ImageState.Ready)
        {
            faults.Add(new(pointer, $"names \"{name}\", which is not complete yet"));
        }
    }
}
