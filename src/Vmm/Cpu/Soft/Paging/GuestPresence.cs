using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;

namespace WebVm.Vmm.Cpu.Soft.Paging;

/// <summary>
/// Whether a processor may be using translations. Outside the guest (in calls of the bus, asleep) it uses none, so that whoever changes the
/// memory map does not wait for it; coming back it first drops what became stale.
/// </summary>
internal static unsafe class GuestPresence
{
    public static void Enter(CpuContext* cpu)
    {
        // Who changes the memory map asks first, then has every processor pass a barrier, then looks: one of the two sees the other.
        Volatile.Write(ref cpu->InGuest, 1);
        if ((Volatile.Read(ref cpu->Requests) & (int)CpuRequests.DropTranslations) != 0)
        {
            DropRequested(cpu);
        }
    }

    public static void Leave(CpuContext* cpu) => Volatile.Write(ref cpu->InGuest, 0);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void DropRequested(CpuContext* cpu)
    {
        Interlocked.And(ref cpu->Requests, ~(int)CpuRequests.DropTranslations);
        Tlb.Of(cpu).Stale.Drop(cpu);
    }
}
