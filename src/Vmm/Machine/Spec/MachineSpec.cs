using System.Text;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Devices;
using WebVm.Vmm.Devices.BuiltIn;
using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Chipset.HighPrecisionTimer;
using WebVm.Vmm.Settings;

namespace WebVm.Vmm.Machine.Spec;

/// <summary>Which engine executes the guest.</summary>
public enum EngineChoice
{
    /// <summary>The faster of those that work here.</summary>
    Auto,
    Kvm,
    Soft,
}

/// <summary>What becomes of the time in which a machine was paused or saved.</summary>
public enum ClockPolicy
{
    /// <summary>
    /// The guest's clocks jump ahead when it goes on: its calendar is right, its timers expire, and it is told that it was stopped.
    /// </summary>
    CatchUp,

    /// <summary>
    /// The guest's clocks go on from where they stood; only its real time clock, which it reads at boot, tells the time that was missed.
    /// </summary>
    Stopped,
}

/// <summary>
/// What a virtual machine is made of. Immutable; the JSON form is described in docs/machine-spec.md. An instance says
/// nothing about whether it is sound until <see cref="Validate"/> has been asked.
/// </summary>
public sealed record MachineSpec
{
    /// <summary>Version of the JSON form.</summary>
    public const int Schema = 1;

    public const int MaximumCpus = CpuSet.Limit;
    public const int MaximumNumaNodes = 64;

    /// <summary>What the smallest boot protocol needs.</summary>
    public const ulong MinimumMemory = 4UL << 20;

    /// <summary>RAM ends where 64-bit PCI memory starts, and 1 GiB below 4 GiB is not RAM, when a machine is booted directly.</summary>
    public const ulong MaximumMemory = PlatformMap.HighPci - (PlatformMap.HighMemory - PlatformMap.DirectLowMemoryEnd);

    /// <summary>Linux ignores nodes that are smaller (arch/x86/mm/numa.c, NODE_MIN_SIZE).</summary>
    public const ulong MinimumNodeMemory = 4UL << 20;

    public string Name { get; init; } = "vm";

    public EngineChoice Engine { get; init; } = EngineChoice.Auto;

    /// <summary>vCPUs that are there when the machine starts.</summary>
    public int Cpus { get; init; } = 1;

    /// <summary>What the vCPUs are (model, vendor, features), and how many there may come to be.</summary>
    public CpuSpec Cpu { get; init; } = new();

    /// <summary>vCPUs that have a place, and with it an APIC id: those that are there, and those that may be added.</summary>
    public int CpuPlaces => Cpu.Maximum ?? Cpus;

    /// <summary>Bytes of RAM, all nodes together.</summary>
    public ulong Memory { get; init; } = 512UL << 20;

    /// <summary>Virtual NUMA nodes; none means one node that no table mentions.</summary>
    public IReadOnlyList<NumaNodeSpec> Numa { get; init; } = [];

    /// <summary>What is started; null only for a machine that is restored.</summary>
    public BootSpec? Boot { get; init; }

    /// <summary>
    /// What the machine is made of beside processors and memory; null for the list of the profile pc. Short forms add to it.
    /// </summary>
    public IReadOnlyList<DeviceSpec>? Devices { get; init; }

    /// <summary>Short form of a display device; null adds none.</summary>
    public DisplaySpec? Display { get; init; }

    public ClockPolicy Clock { get; init; } = ClockPolicy.CatchUp;

    /// <summary>Short form of a high precision event timer.</summary>
    public bool Hpet { get; init; }

    /// <summary>Every fault of the spec; none when a machine can be made of it.</summary>
    /// <param name="catalogue">Kinds of device; null for those of this build.</param>
    public IReadOnlyList<SpecFault> Validate(DeviceCatalogue? catalogue = null) => Check(catalogue, out _);

    /// <exception cref="InvalidSpecException">The spec has faults.</exception>
    public MachineSpec Validated(DeviceCatalogue? catalogue = null) =>
        Check(catalogue, out _) is { Count: > 0 } faults ? throw new InvalidSpecException(faults) : this;

    /// <summary>
    /// The same machine with all its devices in <see cref="Devices"/>, each with its place and all settings, and no short form.
    /// </summary>
    /// <exception cref="InvalidSpecException">The spec has faults.</exception>
    public MachineSpec Expanded(DeviceCatalogue? catalogue = null) => Expanded(catalogue, out _);

    /// <param name="plan">What the devices are made of.</param>
    internal MachineSpec Expanded(DeviceCatalogue? catalogue, out DevicePlan plan) => Check(catalogue, out plan) is { Count: > 0 } faults
        ? throw new InvalidSpecException(faults)
        : this with { Devices = [.. plan.Devices.Select(device => device.Spec)], Display = null, Hpet = false };

    private List<SpecFault> Check(DeviceCatalogue? catalogue, out DevicePlan plan)
    {
        var faults = new List<SpecFault>();
        if (Name.Length is 0 or > 64
            || Name.Any(character => !char.IsAsciiLetterOrDigit(character) && character is not ('-' or '_' or '.')))
        {
            faults.Add(new("/name", "a name is 1 to 64 letters, digits, '-', '_' or '.'"));
        }

        if (Cpus is < 1 or > MaximumCpus)
        {
            faults.Add(new("/cpus", $"{Cpus} vCPUs; there may be 1 to {MaximumCpus}"));
        }

        if (Cpu.Maximum is { } maximum && (maximum < Cpus || maximum > MaximumCpus))
        {
            faults.Add(
                new("/cpu/maximum", $"{maximum} vCPUs at most; the machine starts with {Cpus}, and there may be up to {MaximumCpus}"));
        }

        if (Memory is < MinimumMemory or > MaximumMemory)
        {
            faults.Add(
                new("/memory", $"{ByteSize.Format(Memory)}; there may be {ByteSize.Format(MinimumMemory)} to {ByteSize.Format(MaximumMemory)}"));
        }
        else if (Memory % 4096 != 0)
        {
            faults.Add(new("/memory", $"{Memory} bytes is not a multiple of 4096"));
        }

        faults.AddRange(Cpu.Faults().Select(fault => new SpecFault($"/cpu/features/{fault.Feature}", fault.Fault)));
        NumaValidation.Check(this, faults);
        Boot?.Check(faults);
        plan = (catalogue ?? BuiltInDevices.Catalogue).Plan(DeviceExpansion.Of(this), faults);
        return faults;
    }
}

/// <summary>One virtual NUMA node (ACPI 6.5 §5.2.16).</summary>
public sealed record NumaNodeSpec
{
    /// <summary>Of a node to itself.</summary>
    public const byte LocalDistance = 10;

    /// <summary>To a node that cannot be reached.</summary>
    public const byte MaximumDistance = 255;

    /// <summary>The node's vCPUs; may be empty (a node of memory only).</summary>
    public required CpuSet Cpus { get; init; }

    /// <summary>Bytes.</summary>
    public required ulong Memory { get; init; }

    /// <summary>Distance to each node, this one included (10); null for 10 to itself and 20 to others (ACPI 6.5 §5.2.17).</summary>
    public IReadOnlyList<byte>? Distances { get; init; }
}

/// <summary>What is started, and with what.</summary>
public sealed record BootSpec
{
    /// <summary>Longest command line in bytes that x86 Linux takes (COMMAND_LINE_SIZE less the terminating zero).</summary>
    public const int MaximumCommandLine = 2047;

    /// <summary>Path of a bzImage, an ELF kernel (Linux or PVH) or a Multiboot image.</summary>
    public required string Kernel { get; init; }

    /// <summary>Path of the initial RAM disk; for Multiboot the first module.</summary>
    public string? Initrd { get; init; }

    public string CommandLine { get; init; } = "";

    internal void Check(List<SpecFault> faults)
    {
        CheckPath(faults, "/boot/kernel", Kernel);
        if (Initrd is not null)
        {
            CheckPath(faults, "/boot/initrd", Initrd);
        }

        if (Encoding.UTF8.GetByteCount(CommandLine) > MaximumCommandLine)
        {
            faults.Add(new("/boot/commandLine", $"longer than {MaximumCommandLine} bytes"));
        }

        if (CommandLine.Contains('\0'))
        {
            faults.Add(new("/boot/commandLine", "contains a zero byte"));
        }
    }

    private static void CheckPath(List<SpecFault> faults, string pointer, string path)
    {
        if (path.Length is 0 or > 4096 || path.Contains('\0'))
        {
            faults.Add(new(pointer, "a path is 1 to 4096 characters, none of them zero"));
        }
    }
}

/// <summary>Short form of a display device: its resolution at power-on. What there may be says the device.</summary>
public sealed record DisplaySpec(int Width = 1024, int Height = 768);
