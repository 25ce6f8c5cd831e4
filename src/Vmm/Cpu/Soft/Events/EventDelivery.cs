using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Segmentation;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Events;

/// <summary>
/// Takes events to their handlers, faults on the way included: contributory and double faults (SDM Vol. 3A §6.15, interrupt 8).
/// </summary>
internal static unsafe class EventDelivery
{
    /// <summary>Delivers an event. False: triple fault, the processor shuts down.</summary>
    public static bool TryDeliver(CpuContext* cpu, in GuestEvent guestEvent)
    {
        var current = guestEvent;
        while (true)
        {
            if (TryOnce(cpu, in current))
            {
                ProcessorMode.Update(cpu);
                return true;
            }

            if (current is { Kind: EventKind.Exception, Vector: (byte)ExceptionVector.DoubleFault })
            {
                return false;
            }

            var second = GuestEvent.Recorded(cpu);
            current = MakesDoubleFault(in current, in second)
                ? new GuestEvent((byte)ExceptionVector.DoubleFault, EventKind.Exception, second.ReturnRip, HasErrorCode: true)
                : second;
        }
    }

    /// <summary>
    /// Delivers a software interrupt or exception from a handler: it stops where a fault on the way can be told from the instruction's own.
    /// </summary>
    public static bool TryOnce(CpuContext* cpu, in GuestEvent guestEvent)
    {
        cpu->State.InterruptShadow = 0;
        TakePendingDebug(cpu, in guestEvent);
        if (guestEvent.Kind == EventKind.Exception)
        {
            if (guestEvent.Vector == (byte)ExceptionVector.PageFault)
            {
                cpu->State.Cr2 = guestEvent.Address;
            }
            else if (guestEvent.Vector == (byte)ExceptionVector.Debug)
            {
                cpu->State.Dr[7] &= ~DebugRegisters.GeneralDetect;
            }
        }

        if ((cpu->State.Cr0 & Cr0.Pe) == 0)
        {
            return RealModeDelivery.TryDeliver(cpu, in guestEvent);
        }

        return (cpu->State.Efer & Efer.Lma) != 0
            ? LongModeDelivery.TryDeliver(cpu, in guestEvent)
            : ProtectedModeDelivery.TryDeliver(cpu, in guestEvent);
    }

    /// <summary>RFLAGS as it is pushed: RF is set for faults, so that an instruction breakpoint does not hit again.</summary>
    public static ulong PushedFlags(CpuContext* cpu, in GuestEvent guestEvent)
    {
        ulong flags = LazyFlags.ReadAll(cpu);
        bool fault =
            guestEvent is { Kind: EventKind.Exception, Vector: not (byte)ExceptionVector.DoubleFault
                and not (byte)ExceptionVector.MachineCheck }
            && (guestEvent.Vector != (byte)ExceptionVector.Debug || IsInstructionBreakpoint(in guestEvent));
        return fault ? flags | RflagsBits.Rf : flags;
    }

    /// <summary>
    /// What becomes of debug conditions that still wait when an event is delivered (SDM Vol. 3C §26.6.3 says it of injected events): INT n,
    /// INT3 and INTO leave them to trap at the handler's first instruction; a debug exception, INT1's own included, is the one that they
    /// wait for; whatever else is delivered ends them, as the instruction that met them is begun again.
    /// </summary>
    private static void TakePendingDebug(CpuContext* cpu, in GuestEvent guestEvent)
    {
        if (guestEvent.Kind is EventKind.SoftwareInterrupt or EventKind.SoftwareException)
        {
            return;
        }

        ulong waiting = cpu->State.PendingDebug;
        cpu->State.PendingDebug = 0;
        bool isException = guestEvent is { Kind: EventKind.Exception, Vector: (byte)ExceptionVector.Debug };
        if (isException || (guestEvent.Kind == EventKind.PrivilegedSoftware && waiting != 0))
        {
            DebugRegisters.Report(ref cpu->State, waiting | (isException ? (uint)guestEvent.Address : 0));
        }
    }

    /// <summary>Of debug exceptions only these are faults that name breakpoints; those of traps wait in the context.</summary>
    private static bool IsInstructionBreakpoint(in GuestEvent guestEvent) => (guestEvent.Address & 0xf) != 0;

    private static bool MakesDoubleFault(in GuestEvent first, in GuestEvent second)
    {
        if (first.Kind != EventKind.Exception)
        {
            return false;
        }

        bool firstIsPageFault = first.Vector == (byte)ExceptionVector.PageFault;
        bool secondIsPageFault = second.Vector == (byte)ExceptionVector.PageFault;
        return (IsContributory(first.Vector) && IsContributory(second.Vector))
            || (firstIsPageFault && (secondIsPageFault || IsContributory(second.Vector)));
    }

    private static bool IsContributory(byte vector) => (ExceptionVector)vector
        is ExceptionVector.DivideError or ExceptionVector.InvalidTss or ExceptionVector.SegmentNotPresent
        or ExceptionVector.StackFault or ExceptionVector.GeneralProtection;
}
