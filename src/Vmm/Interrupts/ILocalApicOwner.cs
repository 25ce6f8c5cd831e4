namespace WebVm.Vmm.Interrupts;

/// <summary>The vCPU as its local APIC sees it. Calls come from any thread, are short and never call back into the APIC.</summary>
public interface ILocalApicOwner
{
    /// <summary>
    /// <see cref="LocalApic.HasPending"/> may have become true: the vCPU's thread looks soon, also out of HLT. It may come once
    /// more than needed, never less: an interrupt that the vCPU cannot take yet (RFLAGS.IF) is the vCPU's to remember.
    /// </summary>
    void InterruptPending();

    void Nmi();

    void Smi();

    /// <summary>INIT: the vCPU's thread resets the vCPU, calls <see cref="LocalApic.Init"/> and waits for a start-up message.</summary>
    void Init();

    /// <summary>SIPI: a vCPU that waits for it starts at <paramref name="vector"/> &lt;&lt; 12.</summary>
    void StartUp(byte vector);

    /// <summary>The vCPU leaves HLT, or does not enter its next one, as if an interrupt had come and gone.</summary>
    void Unhalt();

    /// <summary>
    /// The VM time, in nanoseconds, at which the vCPU's time stamp counter reaches that value. Called on the vCPU's thread.
    /// </summary>
    long ClockAtTsc(ulong tsc);
}
