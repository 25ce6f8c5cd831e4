using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Interrupts;

/// <summary>
/// End of interrupt without leaving guest code (SYSTEMS.md 003-3; KVM's MSR_KVM_PV_EOI_EN). With an interrupt that nothing waits behind,
/// the APIC sets a bit in the guest's memory; a guest that finds it set clears it instead of writing the EOI register, and the APIC
/// finds that out when it is next looked at.
/// </summary>
public sealed partial class LocalApic
{
    private GuestMemory? _endMemory;
    private GuestPhysicalAddress _endFlag;

    /// <summary>The bit is set in the guest's memory for the interrupt in service, as far as the APIC knows.</summary>
    private bool _endOffered;

    /// <summary>Ends of interrupt that the guest made by memory alone.</summary>
    public long ParavirtualEnds { get; private set; }

    /// <summary>From now on the APIC offers ends of interrupt in bit 0 of that byte.</summary>
    public void OfferEndOfInterrupt(GuestMemory memory, GuestPhysicalAddress flag)
    {
        WithdrawEnd();
        _endMemory = memory;
        _endFlag = flag;
    }

    /// <summary>The guest has to write the EOI register again.</summary>
    public void StopOfferingEndOfInterrupt()
    {
        WithdrawEnd();
        _endMemory = null;
    }

    /// <summary>
    /// Makes the registers say all there is to say, and the guest's memory nothing. When the vCPU's thread stops running it, before
    /// memory or state are saved.
    /// </summary>
    public void Settle() => WithdrawEnd();

    /// <summary>
    /// Carries out the end of interrupt that the guest has made by clearing the bit. Before anything that depends on ISR.
    /// </summary>
    private void SynchronizeEnd()
    {
        if (_endOffered && !(_endMemory!.TryRead(_endFlag, out byte flag) && (flag & 1) != 0))
        {
            _endOffered = false;
            ParavirtualEnds++;
            EndOfInterrupt();
        }
    }

    /// <summary>
    /// The interrupt just taken may be ended by memory: it is an edge, alone in service, and nothing waits that its end would set free.
    /// </summary>
    private void OfferEnd(int vector)
    {
        if (_endMemory is { } memory
            && (Word(LocalApicRegister.TriggerMode, vector) & Bit(vector)) == 0
            && Highest(LocalApicRegister.InterruptRequest) < 0
            && IsAloneInService(vector))
        {
            _endOffered = memory.TryWrite(_endFlag, (byte)1);
        }
    }

    /// <summary>The guest has not ended the interrupt, and is to tell when it does: something waits for that now.</summary>
    private void WithdrawEnd()
    {
        SynchronizeEnd();
        if (_endOffered)
        {
            _endOffered = false;
            _endMemory!.TryWrite(_endFlag, (byte)0);
        }
    }

    private bool IsAloneInService(int vector)
    {
        for (int word = 0; word < 8; word++)
        {
            if (Word(LocalApicRegister.InService, word * 32) != (word == vector >> 5 ? Bit(vector) : 0))
            {
                return false;
            }
        }

        return true;
    }
}
