using WebVm.Vmm.Cpu.Soft.Access;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.Soft.Segmentation;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Events;

/// <summary>Interrupt and trap gates of IA-32e mode (SDM Vol. 3A §6.14).</summary>
internal static unsafe class LongModeDelivery
{
    private const int InterruptGate = 14;
    private const int TrapGate = 15;

    /// <summary>False: a fault on the way is recorded; nothing has changed.</summary>
    public static bool TryDeliver(CpuContext* cpu, in GuestEvent guestEvent)
    {
        uint external = guestEvent.IsExternalToProgram ? 1u : 0;
        uint gateError = ((uint)guestEvent.Vector << 3) | 2 | external;
        uint offset = (uint)guestEvent.Vector << 4;
        if (offset + 15 > cpu->State.Idtr.Limit)
        {
            return Fail(cpu, ExceptionVector.GeneralProtection, gateError);
        }

        ulong address = cpu->State.Idtr.Base + offset;
        if (!SlowAccess.TryReadSystem(cpu, new(address), out ulong low) || !SlowAccess.TryReadSystem(cpu, new(address + 8), out ulong high))
        {
            return false;
        }

        int type = (int)(low >> 40) & 0x1f;
        if (type is not (InterruptGate or TrapGate) || ((high >> 40) & 0x1f) != 0)
        {
            return Fail(cpu, ExceptionVector.GeneralProtection, gateError);
        }

        if (guestEvent.ChecksGatePrivilege && cpu->Cpl > ((low >> 45) & 3))
        {
            return Fail(cpu, ExceptionVector.GeneralProtection, gateError);
        }

        if (((low >> 47) & 1) == 0)
        {
            return Fail(cpu, ExceptionVector.SegmentNotPresent, gateError);
        }

        ushort selector = (ushort)(low >> 16);
        ulong target = (low & 0xffff) | ((low >> 32) & 0xffff_0000) | (high << 32);
        int stackTable = (int)(low >> 32) & 7;
        return TryEnter(cpu, in guestEvent, selector, target, stackTable, type == InterruptGate, external);
    }

    private static bool TryEnter(
        CpuContext* cpu, in GuestEvent guestEvent, ushort selector, ulong target, int stackTable, bool clearsIf, uint external)
    {
        if ((selector & ~3) == 0)
        {
            return Fail(cpu, ExceptionVector.GeneralProtection, external);
        }

        uint selectorError = (uint)(selector & ~3) | external;
        if (!DescriptorTables.TryRead(cpu, selector, out var descriptor, out bool inTable))
        {
            return false;
        }

        if (!inTable || !descriptor.IsCode || descriptor.Dpl > cpu->Cpl || !descriptor.IsLong || descriptor.IsDefault32)
        {
            return Fail(cpu, ExceptionVector.GeneralProtection, selectorError);
        }

        if (!descriptor.IsPresent)
        {
            return Fail(cpu, ExceptionVector.SegmentNotPresent, selectorError);
        }

        byte newCpl = descriptor.IsConforming ? cpu->Cpl : (byte)descriptor.Dpl;
        ulong stack = cpu->State.Gpr[4];
        if (stackTable != 0 || newCpl != cpu->Cpl)
        {
            int slot = stackTable != 0 ? 0x24 + ((stackTable - 1) * 8) : 4 + (newCpl * 8);
            var task = Segments.Register(cpu, SegmentIndex.Tr);
            if ((ulong)slot + 7 > task->Limit)
            {
                return Fail(cpu, ExceptionVector.InvalidTss, (uint)(task->Selector & ~3) | external);
            }

            if (!SlowAccess.TryReadSystem(cpu, new(task->Base + (ulong)slot), out stack))
            {
                return false;
            }

            if (!SlowAccess.IsCanonical(cpu, stack))
            {
                return Fail(cpu, ExceptionVector.StackFault, external);
            }
        }

        if (!SlowAccess.IsCanonical(cpu, target))
        {
            return Fail(cpu, ExceptionVector.GeneralProtection, external);
        }

        return TryPushFrame(cpu, in guestEvent, selector, in descriptor, target, stack, newCpl, clearsIf);
    }

    private static bool TryPushFrame(
        CpuContext* cpu, in GuestEvent guestEvent, ushort selector, in Descriptor descriptor, ulong target, ulong stack, byte newCpl,
        bool clearsIf)
    {
        var ss = Segments.Register(cpu, SegmentIndex.Ss);
        var cs = Segments.Register(cpu, SegmentIndex.Cs);
        ulong* frame = stackalloc ulong[6];
        int words = 0;
        if (guestEvent.HasErrorCode)
        {
            frame[words++] = guestEvent.ErrorCode;
        }

        frame[words++] = guestEvent.ReturnRip;
        frame[words++] = cs->Selector;
        frame[words++] = EventDelivery.PushedFlags(cpu, in guestEvent);
        frame[words++] = cpu->State.Gpr[4];
        frame[words++] = ss->Selector;
        ulong top = (stack & ~0xfUL) - ((ulong)words * 8);
        var privilege = newCpl == 3 ? Privilege.User
            : (cpu->State.Cr4 & Cr4.Smap) != 0 && (cpu->State.Rflags & RflagsBits.Ac) == 0
                ? Privilege.Supervisor
                : Privilege.SupervisorOpen;
        if (!SlowAccess.IsCanonical(cpu, top))
        {
            return Fail(cpu, ExceptionVector.StackFault, guestEvent.IsExternalToProgram ? 1u : 0);
        }

        if (!SlowAccess.TryWriteBlock(cpu, new(top), (byte*)frame, (uint)words * 8, privilege))
        {
            return false;
        }

        if (newCpl != cpu->Cpl)
        {
            *ss = new SegmentRegister { Selector = newCpl, Attributes = SegmentAttributes.Unusable | (SegmentAttributes)(newCpl << 5) };
        }

        descriptor.Load(cs, (ushort)((selector & ~3) | newCpl));
        cpu->Cpl = newCpl;
        cpu->State.Gpr[4] = top;
        cpu->State.Rip = target;
        cpu->State.Rflags &= ~(RflagsBits.Tf | RflagsBits.Nt | RflagsBits.Rf | RflagsBits.Vm | (clearsIf ? RflagsBits.If : 0));
        cpu->State.NmiBlocked |= (byte)(guestEvent.Kind == EventKind.Nmi ? 1 : 0);
        return true;
    }

    private static bool Fail(CpuContext* cpu, ExceptionVector vector, uint error)
    {
        Faults.Record(cpu, vector, error);
        return false;
    }
}
