using WebVm.Vmm.Cpu.Soft.Interpretation;

namespace WebVm.Vmm.Cpu.Soft.Exceptions;

/// <summary>Gates of protected mode without IA-32e (SDM Vol. 3A §6.12).</summary>
internal static unsafe class ProtectedModeDelivery
{
    /// <summary>False: a fault on the way is recorded; nothing has changed.</summary>
    public static bool TryDeliver(CpuContext* cpu, in GuestEvent guestEvent)
    {
        Faults.Record(cpu, ExceptionVector.GeneralProtection, ((uint)guestEvent.Vector << 3) | 2);
        return false;
    }
}
