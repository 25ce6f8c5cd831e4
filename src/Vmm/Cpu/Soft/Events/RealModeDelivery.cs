using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Events;

/// <summary>The interrupt vector table of real-address mode (SDM Vol. 3B §20.1.4).</summary>
internal static unsafe class RealModeDelivery
{
    /// <summary>False: a fault on the way is recorded; nothing has changed.</summary>
    public static bool TryDeliver(CpuContext* cpu, in GuestEvent guestEvent)
    {
        uint offset = (uint)guestEvent.Vector * 4;
        if (offset + 3 > cpu->State.Idtr.Limit)
        {
            Faults.Record(cpu, ExceptionVector.GeneralProtection);
            return false;
        }

        if (!SlowAccess.TryReadSystem(cpu, new((uint)(cpu->State.Idtr.Base + offset)), out uint entry))
        {
            return false;
        }

        var ss = Segments.Register(cpu, SegmentIndex.Ss);
        var cs = Segments.Register(cpu, SegmentIndex.Cs);
        ushort* frame = stackalloc ushort[3] { (ushort)guestEvent.ReturnRip, cs->Selector, (ushort)LazyFlags.ReadAll(cpu) };
        ushort stack = (ushort)cpu->State.Gpr[4];
        for (int i = 2; i >= 0; i--)
        {
            stack -= 2;
            if (!Segments.Permits(ss, stack, 2, write: true))
            {
                Faults.Record(cpu, ExceptionVector.StackFault);
                return false;
            }

            if (!SlowAccess.TryWriteSystem(cpu, new((uint)(ss->Base + stack)), frame[i]))
            {
                return false;
            }
        }

        *(ushort*)&cpu->State.Gpr[4] = stack;
        cs->Selector = (ushort)(entry >> 16);
        cs->Base = (ulong)cs->Selector << 4;
        cpu->State.Rip = (ushort)entry;
        cpu->State.Rflags &= ~(RflagsBits.If | RflagsBits.Tf | RflagsBits.Ac | RflagsBits.Rf);
        cpu->State.NmiBlocked |= (byte)(guestEvent.Kind == EventKind.Nmi ? 1 : 0);
        return true;
    }
}
