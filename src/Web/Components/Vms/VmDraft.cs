using WebVm.Api.Persistence.Entities;
using WebVm.Api.Vms;
using WebVm.Vmm.Machine.Spec;

namespace WebVm.Web.Components.Vms;

/// <summary>A VM's settings while they are edited.</summary>
public sealed class VmDraft
{
    public const long Mebibyte = 1L << 20;
    private const int SelfDistance = 10;
    private const int UsualDistance = 20;

    public string Name { get; set; } = "";

    public string Description { get; set; } = "";

    public List<LabelDraft> Labels { get; } = [];

    public int Cpus { get; set; } = 1;

    public long MemoryMebibytes { get; set; } = 512;

    public List<NodeDraft> Nodes { get; } = [];

    public bool OwnKernel { get; set; }

    public string? Image { get; set; } = "tiny";

    public string? Kernel { get; set; }

    public string? Initrd { get; set; }

    public string? CommandLine { get; set; }

    public bool DisplayEnabled { get; set; } = true;

    public int Width { get; set; } = 1024;

    public int Height { get; set; } = 768;

    public EngineChoice Engine { get; set; }

    public bool La57 { get; set; }

    public string CpuModel { get; set; } = "host";

    /// <summary>What of the processor has no field here, as it came.</summary>
    private CpuConfiguration Cpu { get; init; } = new();

    public ClockPolicy Clock { get; set; }

    public RestartPolicy Restart { get; set; } = RestartPolicy.OnFailure;

    public bool Autostart { get; set; }

    public int AutostartOrder { get; set; } = 100;

    public int AutostartDelay { get; set; }

    public bool DeleteProtection { get; set; }

    public static VmDraft From(VmView vm)
    {
        var draft = new VmDraft
        {
            Name = vm.Name,
            Description = vm.Description,
            Cpus = vm.Cpus,
            MemoryMebibytes = vm.Memory / Mebibyte,
            OwnKernel = vm.Boot.Kernel is not null,
            Image = vm.Boot.Image,
            Kernel = vm.Boot.Kernel,
            Initrd = vm.Boot.Initrd,
            CommandLine = vm.Boot.CommandLine,
            DisplayEnabled = vm.Display.Enabled,
            Width = vm.Display.Width,
            Height = vm.Display.Height,
            Engine = vm.Engine,
            La57 = vm.Cpu.Features.La57,
            CpuModel = vm.Cpu.Model,
            Cpu = vm.Cpu,
            Clock = vm.Clock,
            Restart = vm.Restart,
            Autostart = vm.Autostart.Enabled,
            AutostartOrder = vm.Autostart.Order,
            AutostartDelay = vm.Autostart.DelaySeconds,
            DeleteProtection = vm.DeleteProtection,
        };
        draft.Labels.AddRange(vm.Labels.Select(label => new LabelDraft { Name = label.Key, Value = label.Value }));
        for (int n = 0; n < vm.Numa.Count; n++)
        {
            var node = vm.Numa[n];
            draft.Nodes.Add(new NodeDraft
            {
                Cpus = [.. node.Cpus],
                MemoryMebibytes = node.Memory / Mebibyte,
                Distances = node.Distances.Count == vm.Numa.Count
                    ? [.. node.Distances]
                    : [.. Enumerable.Range(0, vm.Numa.Count).Select(to => to == n ? SelfDistance : UsualDistance)],
            });
        }

        return draft;
    }

    public VmSettings ToSettings() => new()
    {
        Name = Name.Trim(),
        Description = Description.Trim(),
        Labels = Labels.Where(label => label.Name.Trim().Length > 0).GroupBy(label => label.Name.Trim(), StringComparer.Ordinal)
            .ToDictionary(group => group.Key, group => group.Last().Value.Trim()),
        Cpus = Cpus,
        Memory = MemoryMebibytes * Mebibyte,
        Numa = [.. Nodes.Select(
            node => new NumaNode { Cpus = [.. node.Cpus.Order()], Memory = node.MemoryMebibytes * Mebibyte,
                Distances = [.. node.Distances] })],
        Boot = new BootConfiguration
        {
            Image = OwnKernel ? null : Empty(Image),
            Kernel = OwnKernel ? Empty(Kernel) : null,
            Initrd = OwnKernel ? Empty(Initrd) : null,
            CommandLine = Empty(CommandLine),
        },
        Display = new DisplayConfiguration { Enabled = DisplayEnabled, Width = Width, Height = Height },
        Engine = Engine,
        Clock = Clock,
        Cpu = Cpu with { Model = CpuModel, Features = new CpuFeatureConfiguration { La57 = La57 } },
        Restart = Restart,
        Autostart = new AutostartConfiguration { Enabled = Autostart, Order = AutostartOrder, DelaySeconds = AutostartDelay },
        DeleteProtection = DeleteProtection,
    };

    /// <summary>Spreads vCPUs and memory evenly over nodes; 0 for a machine without NUMA.</summary>
    public void Spread(int nodes)
    {
        var before = Nodes.Select(node => node.Distances).ToList();
        Nodes.Clear();
        for (int n = 0; n < nodes; n++)
        {
            Nodes.Add(new NodeDraft
            {
                Cpus = [.. Enumerable.Range(0, Cpus).Where(cpu => (long)cpu * nodes / Cpus == n)],
                MemoryMebibytes = (MemoryMebibytes / nodes) + (n == 0 ? MemoryMebibytes % nodes : 0),
                Distances = [.. Enumerable.Range(0, nodes)
                    .Select(to => to == n ? SelfDistance : n < before.Count && to < before.Count ? before[n][to] : UsualDistance)],
            });
        }
    }

    /// <summary>Distances are the same both ways: what firmware reports of real machines, and what Linux expects.</summary>
    public void SetDistance(int from, int to, int distance) =>
        (Nodes[from].Distances[to], Nodes[to].Distances[from]) = (distance, distance);

    public void MoveCpu(int cpu, int node)
    {
        foreach (var other in Nodes)
        {
            other.Cpus.Remove(cpu);
        }

        Nodes[node].Cpus.Add(cpu);
        Nodes[node].Cpus.Sort();
    }

    private static string? Empty(string? text) => string.IsNullOrWhiteSpace(text) ? null : text.Trim();
}

public sealed class LabelDraft
{
    public string Name { get; set; } = "";

    public string Value { get; set; } = "";
}

public sealed class NodeDraft
{
    public List<int> Cpus { get; init; } = [];

    public long MemoryMebibytes { get; set; }

    public List<int> Distances { get; init; } = [];
}
