using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Kvm;
using WebVm.Vmm.Cpu.Soft;
using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Host;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Machine.Assembly;

/// <summary>The engine that was asked for cannot be had on this host.</summary>
public sealed class EngineUnavailableException(string message, Exception? cause = null) : Exception(message, cause);

/// <summary>Makes the engine that a spec asks for.</summary>
internal static class EngineSelection
{
    public static ICpuEngine Create(MachineSpec spec, GuestMemory memory, SystemBus bus, TimerService timers)
    {
        bool kvm = spec.Engine == EngineChoice.Kvm
            || (spec.Engine == EngineChoice.Auto && MissingOnKvm(spec) == CpuFeatures.None && HostProbe.ChooseEngine().Engine == "kvm");
        return kvm ? CreateKvm(spec, memory, bus, timers) : new SoftEngine(memory, bus, timers, spec.CpuFeatures);
    }

    private static KvmEngine CreateKvm(MachineSpec spec, GuestMemory memory, SystemBus bus, TimerService timers)
    {
        if (MissingOnKvm(spec) is not CpuFeatures.None and var missing)
        {
            throw new EngineUnavailableException($"this host's KVM does not offer guests {missing.ToString().ToLowerInvariant()}, which the machine's spec asks for; the soft engine does");
        }

        try
        {
            return new KvmEngine(memory, bus, timers.Clock, spec.CpuFeatures);
        }
        catch (Exception failure) when (failure is LinuxException or IOException)
        {
            throw new EngineUnavailableException($"KVM does not work here: {failure.Message}", failure);
        }
    }

    private static CpuFeatures MissingOnKvm(MachineSpec spec) => spec.CpuFeatures == CpuFeatures.None ? CpuFeatures.None : spec.CpuFeatures & ~HostKvm.Features;
}
