using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Vcpu;

/// <content>Translations that are no longer so, because the memory map changed: noted by whoever changed it, dropped by the vCPU's own
/// thread.</content>
internal sealed unsafe partial class SoftVcpu
{
    /// <summary>
    /// Notes what a change made stale and asks for it to be dropped. On the vCPU's own thread, which it left to call a device, it is
    /// dropped.
    /// </summary>
    public void AskToDrop(MapChange change)
    {
        Tlb.Stale.Note(change);
        if (Current == this)
        {
            Tlb.Stale.Drop(_cpu);
        }
        else
        {
            Request(CpuRequests.DropTranslations);
        }
    }

    /// <summary>After a barrier of all processors: returns when the vCPU uses nothing of what it was asked to drop.</summary>
    public void WaitUntilDropped()
    {
        var wait = default(SpinWait);
        while (Volatile.Read(ref _cpu->InGuest) != 0 && (Volatile.Read(ref _cpu->Requests) & (int)CpuRequests.DropTranslations) != 0)
        {
            wait.SpinOnce();
        }
    }
}
