using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Events;
using WebVm.Vmm.Cpu.Soft.Vcpu;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft;

/// <summary>How <see cref="SoftInterpreter.Step"/> ended.</summary>
internal enum StepOutcome
{
    /// <summary>All instructions retired.</summary>
    Completed,

    /// <summary>
    /// An instruction raised an exception, which the caller delivers; RIP is that instruction's and nothing else of it happened.
    /// </summary>
    Exception,

    /// <summary>HLT retired.</summary>
    Halted,
}

/// <param name="Retired">Instructions retired.</param>
/// <param name="Vector">With <see cref="StepOutcome.Exception"/>: the vector.</param>
/// <param name="HasErrorCode">The exception pushes <paramref name="ErrorCode"/>.</param>
/// <param name="Address">CR2 for a page fault (not yet in the state), DR6 conditions for a debug exception.</param>
internal readonly record struct StepResult(StepOutcome Outcome, int Retired, byte Vector, bool HasErrorCode, uint ErrorCode, ulong Address);

/// <summary>
/// The interpreter for another engine's vCPU (DESIGN.md, assist): takes its state, executes a few instructions, gives the state
/// back. Interrupts and exceptions are the caller's to deliver. One thread at a time.
/// </summary>
internal sealed unsafe class SoftInterpreter : IDisposable
{
    private readonly SoftVcpu _vcpu;
    private readonly TranslationDropper _dropper;

    /// <param name="dropper">Listens to the memory; the interpreter may run while its map changes.</param>
    public SoftInterpreter(GuestMemory memory, TranslationDropper dropper, IGuestBus bus)
    {
        _dropper = dropper;
        // What the guest may use is the other engine's affair.
        _vcpu = new SoftVcpu(0, CpuPlace.Alone, memory, bus, SoftOffer.Everything(CpuVendors.Host));
        dropper.Add(_vcpu);
    }

    /// <summary>Executes up to <paramref name="maximum"/> instructions from <paramref name="state"/>, which is updated.</summary>
    public StepResult Step(CpuState* state, int maximum)
    {
        _vcpu.Load(state);
        int retired = _vcpu.Step(maximum, out var outcome);
        _vcpu.Save(state);
        var recorded = GuestEvent.Recorded(_vcpu.Context);
        return outcome switch
        {
            Outcome.Exception => new StepResult(
                StepOutcome.Exception, retired, recorded.Vector, recorded.HasErrorCode, recorded.ErrorCode, recorded.Address),
            Outcome.Halt => new StepResult(StepOutcome.Halted, retired, 0, false, 0, 0),
            _ => new StepResult(StepOutcome.Completed, retired, 0, false, 0, 0),
        };
    }

    public void Dispose()
    {
        _dropper.Remove(_vcpu);
        _vcpu.Dispose();
    }
}
