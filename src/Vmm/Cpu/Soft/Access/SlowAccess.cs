using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Access;

/// <summary>
/// Accesses by linear address that the translation cache does not answer: walks, page crossings, devices, ROM, breakpoints.
/// </summary>
internal static unsafe class SlowAccess
{
    /// <summary>Reads with the current privilege.</summary>
    public static bool TryRead(CpuContext* cpu, SegmentIndex segment, GuestVirtualAddress linear, byte* destination, uint size) =>
        TryCheck(cpu, segment, linear, size, write: false)
            && TryTransfer(cpu, null, linear, destination, size, AccessKind.Read, Tlb.Current(cpu));

    /// <summary>Writes with the current privilege.</summary>
    public static bool TryWrite(
        CpuContext* cpu, Operation* op, SegmentIndex segment, GuestVirtualAddress linear, byte* source, uint size) =>
        TryCheck(cpu, segment, linear, size, write: true) && TryTransfer(cpu, op, linear, source, size, AccessKind.Write, Tlb.Current(cpu));

    /// <summary>
    /// Reads as the processor does for itself (descriptor tables, TSS): with supervisor rights, whatever the CPL. SMAP then holds
    /// regardless of RFLAGS.AC (SDM Vol. 3A §4.6.1).
    /// </summary>
    public static bool TryReadSystem<T>(CpuContext* cpu, GuestVirtualAddress linear, out T value)
        where T : unmanaged
    {
        T result = default;
        bool done = TryTransfer(cpu, null, linear, (byte*)&result, (uint)sizeof(T), AccessKind.Read, SystemPrivilege(cpu));
        value = result;
        return done;
    }

    /// <summary>Writes as the processor does for itself.</summary>
    public static bool TryWriteSystem<T>(CpuContext* cpu, GuestVirtualAddress linear, T value)
        where T : unmanaged => TryTransfer(cpu, null, linear, (byte*)&value, (uint)sizeof(T), AccessKind.Write, SystemPrivilege(cpu));

    /// <summary>Writes a frame of up to a page with given rights, wholly or not at all.</summary>
    public static bool TryWriteBlock(CpuContext* cpu, GuestVirtualAddress linear, byte* source, uint size, Privilege privilege) =>
        TryTransfer(cpu, null, linear, source, size, AccessKind.Write, privilege);

    /// <summary>Whether such an access of the current privilege would succeed; enters the translation.</summary>
    public static bool TryProbe(CpuContext* cpu, GuestVirtualAddress linear, uint size, bool write)
    {
        var access = write ? AccessKind.Write : AccessKind.Read;
        var privilege = Tlb.Current(cpu);
        if (!IsCanonical(cpu, linear.Value))
        {
            Faults.Record(cpu, ExceptionVector.GeneralProtection);
            return false;
        }

        return TryTranslate(cpu, linear, access, privilege, out _)
            && (linear.PageOffset + size <= 4096 || TryTranslate(cpu, NextPage(cpu, linear), access, privilege, out _));
    }

    /// <summary>Canonical form, alignment check and data breakpoints of one access.</summary>
    public static bool TryCheck(CpuContext* cpu, SegmentIndex segment, GuestVirtualAddress linear, uint size, bool write)
    {
        if (!IsCanonical(cpu, linear.Value) || !IsCanonical(cpu, linear.Value + size - 1))
        {
            Faults.Record(cpu, segment == SegmentIndex.Ss ? ExceptionVector.StackFault : ExceptionVector.GeneralProtection);
            return false;
        }

        if (cpu->Cpl == 3 && (cpu->State.Rflags & RflagsBits.Ac) != 0 && (cpu->State.Cr0 & Cr0.Am) != 0
            && (linear.Value & (RequiredAlignment(size) - 1)) != 0)
        {
            Faults.Record(cpu, ExceptionVector.AlignmentCheck);
            return false;
        }

        if (cpu->DataBreakpoints != 0)
        {
            DebugRegisters.ObserveData(cpu, linear, size, write);
        }

        return true;
    }

    /// <summary>What the alignment check asks of an operand (SDM Vol. 3A §6.15, table 6-7); for a vector, 16 bytes at most.</summary>
    private static uint RequiredAlignment(uint size) => size switch
    {
        10 => 8,
        2 or 4 or 8 or 16 => size,
        32 => 16,
        _ => 1,
    };

    /// <summary>Translates one linear address, entering the result into the translation cache; false with #PF recorded.</summary>
    public static bool TryTranslate(
        CpuContext* cpu, GuestVirtualAddress linear, AccessKind access, Privilege privilege, out PhysicalPlace place) =>
        Tlb.Of(cpu).TryFind(cpu, privilege, linear, access, out place) || TryWalk(cpu, linear, access, privilege, out place);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool TryWalk(
        CpuContext* cpu, GuestVirtualAddress linear, AccessKind access, Privilege privilege, out PhysicalPlace place)
    {
        var environment = CpuEnvironment.Of(cpu);
        if (!PageWalk.TryWalk(cpu, environment.Memory, linear, access, privilege, out var translation))
        {
            place = default;
            Faults.Record(cpu, ExceptionVector.PageFault, translation.ErrorCode, linear.Value);
            return false;
        }

        var backing = environment.IsApicPage(translation.Physical) ? default : environment.Memory.Resolve(translation.Physical);
        Tlb.Of(cpu).Fill(cpu, privilege, linear, translation, backing);
        place = PhysicalPlace.Of(translation.Physical, backing, access);
        return true;
    }

    /// <summary>Whether there can be such a linear address in the current mode (SDM Vol. 1 §3.3.7.1).</summary>
    public static bool IsCanonical(CpuContext* cpu, ulong address)
    {
        if ((cpu->State.Efer & Efer.Lma) == 0)
        {
            return true;
        }

        int shift = (cpu->State.Cr4 & Cr4.La57) != 0 ? 7 : 16;
        return (ulong)((long)(address << shift) >> shift) == address;
    }

    /// <summary>
    /// Whether there can be such a linear address on this processor, whatever its mode: what MSRs, descriptor-table registers, hidden
    /// segment bases and INVPCID take (Intel, 5-Level Paging, §2.2: by the width that CPUID tells of, not by CR4.LA57).
    /// </summary>
    public static bool IsCanonicalHere(CpuContext* cpu, ulong address)
    {
        int shift = CpuEnvironment.Of(cpu).Profile.HasLa57 ? 7 : 16;
        return (ulong)((long)(address << shift) >> shift) == address;
    }

    /// <summary>
    /// A copy of an operand that guest memory cannot give in one piece; under the lock of the machine's bus if the operation locks.
    /// </summary>
    public static bool TryBeginBounce(
        CpuContext* cpu, Operation* op, SegmentIndex segment, GuestVirtualAddress linear, uint size, out byte* host)
    {
        host = cpu->Bounce;
        bool locks = (op->Flags & OperationFlags.Lock) != 0;
        if (locks)
        {
            CpuEnvironment.Of(cpu).Memory.BusLock.Enter();
        }

        if (!TryTransfer(cpu, null, linear, cpu->Bounce, size, AccessKind.Read, Tlb.Current(cpu)))
        {
            if (locks)
            {
                CpuEnvironment.Of(cpu).Memory.BusLock.Exit();
            }

            return false;
        }

        cpu->BounceLocked = (byte)(locks ? 1 : 0);
        cpu->BounceAddress = linear;
        return true;
    }

    public static void EndBounce(CpuContext* cpu, Operation* op, uint size)
    {
        // Write access was established before the read, by this thread, whose translations nobody else drops.
        _ = TryTransfer(cpu, op, cpu->BounceAddress, cpu->Bounce, size, AccessKind.Write, Tlb.Current(cpu));
        if (cpu->BounceLocked != 0)
        {
            cpu->BounceLocked = 0;
            CpuEnvironment.Of(cpu).Memory.BusLock.Exit();
        }
    }

    /// <summary>The privilege of the processor's own accesses.</summary>
    private static Privilege SystemPrivilege(CpuContext* cpu) =>
        (cpu->State.Cr4 & Cr4.Smap) != 0 ? Privilege.Supervisor : Privilege.SupervisorOpen;

    private static GuestVirtualAddress NextPage(CpuContext* cpu, GuestVirtualAddress linear)
    {
        var next = linear.Page + 4096;
        return (cpu->State.Efer & Efer.Lma) != 0 ? next : new((uint)next.Value);
    }

    private static bool TryTransfer(
        CpuContext* cpu, Operation* op, GuestVirtualAddress linear, byte* buffer, uint size, AccessKind access, Privilege privilege)
    {
        if (!TryTranslate(cpu, linear, access, privilege, out var place))
        {
            return false;
        }

        uint first = 4096 - linear.PageOffset;
        if (first >= size)
        {
            Transfer(cpu, op, place, buffer, size, access == AccessKind.Write);
            return true;
        }

        var next = NextPage(cpu, linear);
        if (!TryTranslate(cpu, next, access, privilege, out var second))
        {
            return false;
        }

        Transfer(cpu, op, place, buffer, first, access == AccessKind.Write);
        // While a device answered, the second page may have become another; that it is gone comes too late to tell.
        if (place.Kind != BackingKind.Bus || TryTranslate(cpu, next, access, privilege, out second))
        {
            Transfer(cpu, op, second, buffer + first, size - first, access == AccessKind.Write);
        }

        return true;
    }

    private static void Transfer(CpuContext* cpu, Operation* op, in PhysicalPlace place, byte* buffer, uint size, bool write)
    {
        if (place.Kind == BackingKind.Bus)
        {
            DeviceAccess.Transfer(cpu, place.Guest, buffer, size, write);
            return;
        }

        byte* host = SystemMemory.Host(cpu, place.System);
        if (!write)
        {
            Copy(host, buffer, size);
            return;
        }

        if (place.Kind == BackingKind.ReadOnly)
        {
            return;
        }

        Copy(buffer, host, size);
        if (SystemMemory.IsWatched(cpu, host, out var page))
        {
            GuestAccess.StoreObserved(cpu, op, page);
        }
    }

    /// <summary>Copies in one piece where the size allows, as another processor must not see halves of an aligned value.</summary>
    private static void Copy(byte* from, byte* to, uint size)
    {
        switch (size)
        {
            case 1:
                *to = *from;
                break;
            case 2:
                Unsafe.WriteUnaligned(to, Unsafe.ReadUnaligned<ushort>(from));
                break;
            case 4:
                Unsafe.WriteUnaligned(to, Unsafe.ReadUnaligned<uint>(from));
                break;
            case 8:
                Unsafe.WriteUnaligned(to, Unsafe.ReadUnaligned<ulong>(from));
                break;
            default:
                Unsafe.CopyBlockUnaligned(to, from, size);
                break;
        }
    }
}
