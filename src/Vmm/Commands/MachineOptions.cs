using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Encodings.Web;
using System.Text.Json;
using WebVm.Vmm.Confinement;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Measurement;
using WebVm.Vmm.Cpu.Probing;
using WebVm.Vmm.Cpu.Soft.Semantics;
using WebVm.Vmm.Devices.Chipset.HighPrecisionTimer;
using WebVm.Vmm.Host;
using WebVm.Vmm.Machine.Assembly;
using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Machine.Saving;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Settings;

namespace WebVm.Vmm.Commands;

/// <summary>The options that describe a machine: a spec file, and what changes it.</summary>
internal sealed class MachineOptions
{
    private readonly Option<string?> _spec = new(
        "--spec") { Description = "machine spec in JSON; other options change it", HelpName = "machine.json" };
    private readonly Option<string?> _name = new("--name") { Description = "name of the machine" };
    private readonly Option<string?> _engine = new(
        "--engine") { Description = "what executes the guest: auto, kvm or soft", HelpName = "auto|kvm|soft" };
    private readonly Option<string?> _cpus = new("--cpus") { Description = "number of vCPUs", HelpName = "N" };
    private readonly Option<string?> _maximumCpus = new(
        "--maximum-cpus") { Description = "number of vCPUs that the machine has places for; as many as it starts with unless given",
            HelpName = "N" };
    private readonly Option<string?> _cpuModel = new(
        "--cpu-model") { Description = "processor that the guest meets: host, or x86-64-v2, -v3 or -v4, which are the same on every host",
            HelpName = "MODEL" };
    private readonly Option<string?> _cpuVendor = new(
        "--cpu-vendor") { Description = "whose processor it is: host, intel or amd", HelpName = "host|intel|amd" };
    private readonly Option<string?> _cpuFeatures = new(
        "--cpu-features") { Description = "features offered beyond the model's or taken away, such as la57,-avx2", HelpName = "LIST" };
    private readonly Option<string?> _memory = new("--memory") { Description = "RAM, such as 512M or 2G", HelpName = "SIZE" };
    private readonly Option<string[]> _numa = new(
        "--numa") { Description = "a NUMA node: cpus=0-1,memory=256M[,distance=10:20]; once per node", HelpName = "NODE" };
    private readonly Option<string?> _kernel = new(
        "--kernel") { Description = "bzImage, ELF kernel (Linux, PVH) or Multiboot image", HelpName = "FILE" };
    private readonly Option<string?> _initrd = new(
        "--initrd") { Description = "initial RAM disk, or first Multiboot module", HelpName = "FILE" };
    private readonly Option<string?> _append = new("--append") { Description = "kernel command line", HelpName = "TEXT" };
    private readonly Option<string?> _display = new(
        "--display") { Description = "none, or the resolution at power-on such as 1024x768", HelpName = "none|WxH" };
    private readonly Option<string?> _restore = new(
        "--restore") { Description = "go on from a saved state; of the other options only --engine and --clock count then",
            HelpName = "DIR" };
    private readonly Option<string?> _clock = new(
        "--clock") { Description = "what becomes of the time in which the machine was paused or saved: catch-up (the guest's clocks "
            + "jump ahead) or stopped",
            HelpName = "catch-up|stopped" };
    private readonly Option<string[]> _handed = new(
        "--handed") { Description = "an open descriptor that stands for a name: nothing is opened by name then", HelpName = "FD=NAME",
            Hidden = true };
    private readonly Option<bool> _hpet = new("--hpet") { Description = "with a high precision event timer" };

    private static readonly JsonSerializerOptions s_readable =
        new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private static readonly SpecFault[] NothingToBoot =
    [
        new("--kernel", "nothing to boot is given. Name a kernel (bzImage, ELF or Multiboot), and an initrd if it wants one, or a "
            + "machine by --spec, or a saved state by --restore"),
        new("", "for a try, in a checkout: ./webvm image build tiny, then F=$(./webvm image path tiny); ./webvm vmm run --kernel "
            + "$F/vmlinux --initrd $F/initramfs --append console=ttyS0"),
    ];

    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[_spec, _name, _engine, _cpus, _maximumCpus, _cpuModel, _cpuVendor, _cpuFeatures, _memory,
            _numa, _kernel, _initrd, _append, _display, _hpet, _clock, _restore, _handed])
        {
            command.Options.Add(option);
        }
    }

    /// <summary>
    /// Takes over the descriptors that the process was handed, and then puts up its own filter: before anything else is done.
    /// </summary>
    /// <exception cref="InvalidDataException">They are not what was said.</exception>
    /// <exception cref="LinuxException">The kernel refuses the filter.</exception>
    public void LockIn(ParseResult parsed)
    {
        HandedFiles.Adopt(parsed.GetValue(_handed) ?? []);
        if (HandedFiles.OfProcess.Confined)
        {
            // What the filters would refuse later: executable memory, signals' dispositions, and the pipe and thread of the runtime's that
            // signals come by.
            HostStub.Prepare();
            ThreadKick.Prepare();
            PosixSignalRegistration.Create(PosixSignal.SIGCONT, _ => { }).Dispose();
            if (InnerWall.CanBeNarrow)
            {
                FaultReporter.Begin(
                    HandedFiles.OfProcess.Has(FaultReporter.HandedName) ? HandedFiles.OfProcess.Create(FaultReporter.HandedName) : null);
            }

            bool kvm = HandedFiles.OfProcess.Has(HandedFiles.KvmName);
            if (kvm && TakesSoft(parsed.GetValue(_engine)))
            {
                // Of the host's KVM the soft engine takes a few numbers: they are asked for now, and nothing of KVM is within a guest's
                // reach.
                HostKvm.Ask();
                HandedFiles.OfProcess.Drop(HandedFiles.KvmName);
                kvm = false;
            }

            InnerWall.Raise(kvm);
        }
    }

    /// <summary>
    /// Whether it is certain that the machine runs on the soft engine. Where no engine is named, the spec may want either.
    /// </summary>
    private static bool TakesSoft(string? engine) => engine is "soft" || (engine is "auto" && HostProbe.ChooseEngine().Engine == "soft");

    /// <summary>Makes the machine that the options describe, or the saved one that they name. It has not run yet.</summary>
    /// <exception cref="InvalidSpecException">An option or the spec file is wrong.</exception>
    /// <exception cref="InvalidDataException">The saved state cannot be read.</exception>
    public VirtualMachine Assemble(ParseResult parsed)
    {
        if (parsed.GetValue(_restore) is not { } directory)
        {
            var spec = Read(parsed);
            return spec.Boot is null ? throw new InvalidSpecException(NothingToBoot) : MachineAssembly.Assemble(spec);
        }

        var faults = new List<SpecFault>();
        EngineChoice? engine = parsed.GetValue(_engine) is { } text ? ReadEngine(text, faults) : null;
        var clock = ReadClock(parsed.GetValue(_clock), faults);
        return faults.Count == 0
            ? StateRestorer.Restore(directory, engine, clock).GetAwaiter().GetResult()
            : throw new InvalidSpecException(faults);
    }

    /// <summary>The machine that the options describe as a complete spec.</summary>
    /// <exception cref="InvalidSpecException">An option or the spec file is wrong.</exception>
    public string Describe(ParseResult parsed) => parsed.GetValue(_restore) is null
        ? MachineSpecJson.Write(Read(parsed).Expanded()).ToJsonString(s_readable)
        : throw new InvalidSpecException("--describe", "a saved state describes its machine itself, in machine.json");

    private MachineSpec Read(ParseResult parsed)
    {
        var spec = parsed.GetValue(_spec) is { } file ? ReadFile(file) : new MachineSpec();
        var faults = new List<SpecFault>();
        if (parsed.GetValue(_name) is { } name)
        {
            spec = spec with { Name = name };
        }

        if (parsed.GetValue(_engine) is { } engine)
        {
            spec = spec with { Engine = ReadEngine(engine, faults) };
        }

        if (parsed.GetValue(_numa) is { Length: > 0 } nodes)
        {
            spec = WithNodes(spec, nodes, faults);
        }

        if (parsed.GetValue(_cpus) is { } cpus)
        {
            spec = spec with { Cpus = ReadInteger("--cpus", cpus, faults) };
        }

        spec = spec with { Cpu = ReadCpu(spec.Cpu, parsed, faults) };
        if (parsed.GetValue(_maximumCpus) is { } maximum)
        {
            spec = spec with { Cpu = spec.Cpu with { Maximum = ReadInteger("--maximum-cpus", maximum, faults) } };
        }

        if (parsed.GetValue(_memory) is { } memory)
        {
            spec = spec with { Memory = ReadSize("--memory", memory, faults) };
        }

        spec = WithBoot(spec, parsed, faults);
        if (parsed.GetValue(_display) is { } display)
        {
            spec = spec with { Display = ReadDisplay(display, faults) };
        }

        spec = spec with { Clock = ReadClock(parsed.GetValue(_clock), faults) ?? spec.Clock };
        if (parsed.GetValue(_hpet))
        {
            spec = spec with { Hpet = true };
        }

        return faults.Count == 0 ? spec.Validated() : throw new InvalidSpecException(faults);
    }

    private static MachineSpec ReadFile(string file)
    {
        byte[] json;
        try
        {
            json = HandedFiles.OfProcess.Read(file, MachineSpecJson.MaximumLength, Links.Follow);
        }
        catch (InvalidDataException failure)
        {
            throw new InvalidSpecException("", failure.Message);
        }

        return MachineSpecJson.Read(json, out var faults)
            ?? throw new InvalidSpecException([.. faults.Select(fault => fault with { Message = $"{fault.Message} ({file})" })]);
    }

    private MachineSpec WithBoot(MachineSpec spec, ParseResult parsed, List<SpecFault> faults)
    {
        var boot = spec.Boot;
        if (parsed.GetValue(_kernel) is { } kernel)
        {
            boot = (boot ?? new BootSpec { Kernel = kernel }) with { Kernel = kernel };
        }

        string? initrd = parsed.GetValue(_initrd);
        string? append = parsed.GetValue(_append);
        if (boot is null)
        {
            if (initrd is not null || append is not null)
            {
                faults.Add(new("--kernel", "is needed with --initrd and --append"));
            }

            return spec;
        }

        return spec with { Boot = boot with { Initrd = initrd ?? boot.Initrd, CommandLine = append ?? boot.CommandLine } };
    }

    private static MachineSpec WithNodes(MachineSpec spec, string[] texts, List<SpecFault> faults)
    {
        var nodes = texts.Select(text => ReadNode(text, faults)).OfType<NumaNodeSpec>().ToList();
        if (nodes.Count != texts.Length)
        {
            return spec;
        }

        return spec with
        {
            Numa = nodes,
            Cpus = Math.Max(1, nodes.Max(node => node.Cpus.Highest + 1)),
            Memory = nodes.Aggregate(0UL, (sum, node) => unchecked(sum + node.Memory)),
        };
    }

    /// <summary>"cpus=0-1,3,memory=256M,distance=10:20": a part without '=' continues the list before it.</summary>
    private static NumaNodeSpec? ReadNode(string text, List<SpecFault> faults)
    {
        var fields = new Dictionary<string, string>(StringComparer.Ordinal);
        string? last = null;
        foreach (string part in text.Split(','))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            if (equals >= 0 ? !fields.TryAdd(last = part[..equals], part[(equals + 1)..]) : last != "cpus")
            {
                return Fault($"'{part}' is not understood");
            }

            if (equals < 0)
            {
                fields["cpus"] += "," + part;
            }
        }

        if (fields.Keys.FirstOrDefault(key => key is not ("cpus" or "memory" or "distance")) is { } unknown)
        {
            return Fault($"'{unknown}' is unknown; there are cpus, memory and distance");
        }

        if (!CpuSet.TryParse(fields.GetValueOrDefault("cpus", ""), out var cpus))
        {
            return Fault($"'{fields["cpus"]}' is not a list of vCPUs such as 0-3,8");
        }

        if (!fields.TryGetValue("memory", out string? memory) || !ByteSize.TryParse(memory, out ulong bytes))
        {
            return Fault("memory=SIZE is needed, such as memory=256M");
        }

        List<byte>? distances = null;
        if (fields.TryGetValue("distance", out string? list))
        {
            distances = [];
            foreach (string value in list.Split(':'))
            {
                if (!byte.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out byte distance))
                {
                    return Fault($"'{list}' is not a row of distances such as 10:20");
                }

                distances.Add(distance);
            }
        }

        return new NumaNodeSpec { Cpus = cpus, Memory = bytes, Distances = distances };

        NumaNodeSpec? Fault(string message)
        {
            faults.Add(new($"--numa {text}", message));
            return null;
        }
    }

    private static EngineChoice ReadEngine(string text, List<SpecFault> faults)
    {
        if (text is "auto" or "kvm" or "soft")
        {
            return Enum.Parse<EngineChoice>(text, ignoreCase: true);
        }

        faults.Add(new("--engine", $"'{text}'; there are auto, kvm and soft"));
        return EngineChoice.Auto;
    }

    private static ClockPolicy? ReadClock(string? text, List<SpecFault> faults)
    {
        if (text is not null && MachineSpecJson.TryParse(text, out var clock))
        {
            return clock;
        }

        if (text is not null)
        {
            faults.Add(new("--clock", $"'{text}'; there are catch-up and stopped"));
        }

        return null;
    }

    private CpuSpec ReadCpu(CpuSpec cpu, ParseResult parsed, List<SpecFault> faults)
    {
        if (parsed.GetValue(_cpuModel) is { } name)
        {
            if (!CpuModels.TryParse(name, out var model))
            {
                faults.Add(new("--cpu-model", $"'{name}'; there are {string.Join(", ", CpuModels.All.Select(known => known.Name()))}"));
            }

            cpu = cpu with { Model = model };
        }

        if (parsed.GetValue(_cpuVendor) is { } vendor)
        {
            if (vendor is not ("host" or "intel" or "amd"))
            {
                faults.Add(new("--cpu-vendor", $"'{vendor}'; there are host, intel and amd"));
            }

            cpu = cpu with { Vendor = vendor switch { "intel" => CpuVendor.Intel, "amd" => CpuVendor.Amd, _ => null } };
        }

        if (parsed.GetValue(_cpuFeatures) is { } list)
        {
            var features = new SortedDictionary<string, bool>(StringComparer.Ordinal);
            foreach (var (feature, offered) in list.Split(',').Select(CpuSpec.ParseFeature))
            {
                features[feature] = offered;
            }

            cpu = cpu with { Features = features };
            faults.AddRange(cpu.Faults().Select(fault => new SpecFault("--cpu-features", $"{fault.Feature}: {fault.Fault}")));
        }

        return cpu;
    }

    private static int ReadInteger(string option, string text, List<SpecFault> faults)
    {
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number))
        {
            return number;
        }

        faults.Add(new(option, $"'{text}' is not a number"));
        return 1;
    }

    private static ulong ReadSize(string option, string text, List<SpecFault> faults)
    {
        if (ByteSize.TryParse(text, out ulong bytes))
        {
            return bytes;
        }

        faults.Add(new(option, $"'{text}' is not a size such as 512M"));
        return MachineSpec.MinimumMemory;
    }

    private static DisplaySpec? ReadDisplay(string text, List<SpecFault> faults)
    {
        if (text == "none")
        {
            return null;
        }

        string[] parts = text.Split('x');
        if (parts.Length == 2 && int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int width)
            && int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int height))
        {
            return new DisplaySpec(width, height);
        }

        faults.Add(new("--display", $"'{text}' is neither none nor a resolution such as 1024x768"));
        return null;
    }
}
