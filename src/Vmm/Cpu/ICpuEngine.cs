using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Interrupts;

namespace WebVm.Vmm.Cpu;

/// <summary>What executes a VM's guest code: makes its vCPUs and its interrupt controllers, and owns both.</summary>
public interface ICpuEngine : IDisposable
{
    /// <summary>"kvm" or "soft".</summary>
    string Name { get; }

    /// <summary>The processor that guests meet.</summary>
    CpuDescription Processor { get; }

    /// <summary>KVM's paravirtual interfaces that guests are offered, whatever the engine: EAX of CPUID leaf 0x40000001.</summary>
    uint ParavirtualFeatures { get; }

    /// <summary>Where the VM's devices send interrupts.</summary>
    IInterruptRouter Interrupts { get; }

    /// <summary>
    /// Interrupt controllers and PIT, where the machine's bus leads to them; null for an engine that answers their accesses by itself.
    /// </summary>
    InterruptChips? Chips { get; }

    /// <summary>
    /// Creates the vCPU with that index, at that place of the machine's <see cref="CpuTopology"/>. All are created before the first runs,
    /// or later when hot-added. Index 0 is the boot processor; others wait for INIT/SIPI.
    /// </summary>
    IVirtualCpu CreateVcpu(int index, CpuPlace place);

    /// <summary>The interrupt controllers' state in the form that every engine understands. Only while no vCPU runs.</summary>
    InterruptControllerState SaveInterruptControllers();

    void LoadInterruptControllers(InterruptControllerState state);

    /// <summary>Puts interrupt controllers back to their power-on state (system reset). vCPU state is reset by loading it.</summary>
    void ResetInterruptControllers();

    /// <summary>
    /// Cuts the PIT off from interrupt 0, which something else drives then (an HPET's legacy replacement), or connects it again.
    /// </summary>
    void ConnectPit(bool connected);
}
