using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Kvm;
using WebVm.Vmm.Cpu.Measurement;
using WebVm.Vmm.Cpu.Soft;
using WebVm.Vmm.Cpu.Soft.Vcpu;
using WebVm.Vmm.Devices.Bus;
using WebVm.Vmm.Host;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Settings;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Machine.Assembly;

/// <summary>The engine that was asked for cannot be had on this host.</summary>
public sealed class EngineUnavailableException(string message, Exception? cause = null) : Exception(message, cause);

/// <summary>Makes the engine that a spec asks for.</summary>
internal static class EngineSelection
{
    /// <param name="known">The processor that a saved guest knows and goes on with; null for a machine that starts.</param>
    /// <exception cref="EngineUnavailableException">The engine cannot be had on this host.</exception>
    /// <exception cref="InvalidSpecException">The processor cannot be had of the engine.</exception>
    public static ICpuEngine Create(MachineSpec spec, GuestMemory memory, SystemBus bus, TimerService timers, CpuDescription? known = null)
    {
        bool kvm = TakesKvm(spec, known);
        try
        {
            return kvm
                ? new KvmEngine(
                    memory, bus, timers.Clock, AsksForNothing(spec, known) || KvmOffer.ForGuests is not { } offer
                        ? null
                        : Decide(offer, spec, known))
                : new SoftEngine(memory, bus, timers, Decide(SoftOffer.ForGuests, spec, known));
        }
        catch (Exception failure) when (failure is LinuxException or IOException)
        {
            throw new EngineUnavailableException($"KVM does not work here: {failure.Message}", failure);
        }
        catch (CpuUnavailableException refused)
        {
            throw new InvalidSpecException("/cpu", refused.Message);
        }
    }

    /// <summary>
    /// What this host's engine lacks of the processor that a saved guest knows; null for nothing, and where it shows only when the engine
    /// is made.
    /// </summary>
    public static string? Lack(MachineSpec spec, CpuDescription? known)
    {
        try
        {
            var offer = !TakesKvm(spec, known) ? SoftOffer.ForGuests : AsksForNothing(spec, known) ? null : KvmOffer.ForGuests;
            _ = offer is null ? null : Decide(offer, spec, known);
            return null;
        }
        catch (CpuUnavailableException refused)
        {
            return refused.Message;
        }
    }

    private static bool TakesKvm(MachineSpec spec, CpuDescription? known) =>
        spec.Engine == EngineChoice.Kvm
            || (spec.Engine == EngineChoice.Auto && KvmCan(spec, known) && HostProbe.ChooseEngine().Engine == "kvm");

    private static bool AsksForNothing(MachineSpec spec, CpuDescription? known) => known is null && spec.Cpu.IsDefault;

    private static bool KvmCan(MachineSpec spec, CpuDescription? known)
    {
        if (AsksForNothing(spec, known))
        {
            return true;
        }

        try
        {
            return KvmOffer.ForGuests is { } offer && Decide(offer, spec, known) is not null;
        }
        catch (CpuUnavailableException)
        {
            return false;
        }
    }

    private static CpuProfile Decide(CpuOffer offer, MachineSpec spec, CpuDescription? known)
    {
        if (known is null)
        {
            return offer.Resolve(spec.Cpu);
        }

        if (!CpuModels.TryParse(known.Model, out var model))
        {
            throw new CpuUnavailableException($"the state's guest knows a processor model '{known.Model}', which this build does not");
        }

        if (known.Features.FirstOrDefault(name => CpuFeature.Find(name) is null) is { } unknown)
        {
            throw new CpuUnavailableException($"the state's guest was offered '{unknown}', which this build does not know");
        }

        return offer.Continue(model, known.Vendor, CpuFeatureSet.Of(known.Features.Select(name => CpuFeature.Find(name)!)));
    }
}
