using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Access;

/// <summary>Accesses to what is not memory: the local APIC's page, else the bus. The vCPU counts as outside the guest meanwhile.</summary>
internal static unsafe class DeviceAccess
{
    /// <summary>
    /// Reads a register if the translation cache knows its page as one of the bus. As a hit of its tables, that stands for every check of
    /// the access.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryRead<T>(CpuContext* cpu, GuestVirtualAddress linear, out T value)
        where T : unmanaged
    {
        Unsafe.SkipInit(out value);
        var entry = Tlb.Other(cpu, linear);
        if (sizeof(T) is not (1 or 2 or 4 or 8) || entry->Read != Tlb.Match(cpu, linear + (ulong)(sizeof(T) - 1)))
        {
            return false;
        }

        ulong register = Read(cpu, new GuestPhysicalAddress(linear.Value + entry->Addend), sizeof(T));
        value = *(T*)&register;
        return true;
    }

    /// <summary>Writes a register, as <see cref="TryRead"/> reads one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool TryWrite<T>(CpuContext* cpu, GuestVirtualAddress linear, T value)
        where T : unmanaged
    {
        var entry = Tlb.Other(cpu, linear);
        if (sizeof(T) is not (1 or 2 or 4 or 8) || entry->Write != Tlb.Match(cpu, linear + (ulong)(sizeof(T) - 1))
            || (entry->Addend & 0xfff) == (ulong)BackingKind.ReadOnly)
        {
            return false;
        }

        ulong register = 0;
        *(T*)&register = value;
        Write(cpu, new GuestPhysicalAddress(linear.Value + (entry->Addend & ~0xfffUL)), sizeof(T), register);
        return true;
    }

    /// <summary>
    /// Moves <paramref name="size"/> bytes (within a page) in as few accesses of 1, 2, 4 or 8 bytes as their alignment allows.
    /// </summary>
    public static void Transfer(CpuContext* cpu, GuestPhysicalAddress physical, byte* buffer, uint size, bool write)
    {
        while (size > 0)
        {
            uint piece = size switch { >= 8 => 8, >= 4 => 4, >= 2 => 2, _ => 1 };
            if (write)
            {
                ulong value = piece switch { 8 => *(ulong*)buffer, 4 => *(uint*)buffer, 2 => *(ushort*)buffer, _ => *buffer };
                Write(cpu, physical, (int)piece, value);
            }
            else
            {
                ulong value = Read(cpu, physical, (int)piece);
                switch (piece)
                {
                    case 8: *(ulong*)buffer = value; break;
                    case 4: *(uint*)buffer = (uint)value; break;
                    case 2: *(ushort*)buffer = (ushort)value; break;
                    default: *buffer = (byte)value; break;
                }
            }

            physical += piece;
            buffer += piece;
            size -= piece;
        }
    }

    /// <summary>A read of what is not memory, on the processor's thread.</summary>
    private static ulong Read(CpuContext* cpu, GuestPhysicalAddress address, int size)
    {
        var environment = CpuEnvironment.Of(cpu);
        if (environment.IsApicPage(address))
        {
            return environment.Apic!.ReadMmio((int)(address.Value & 0xfff), size);
        }

        environment.Counters.MmioExits++;
        GuestPresence.Leave(cpu);
        ulong value = environment.Bus.ReadMmio(address, size);
        GuestPresence.Enter(cpu);
        return value;
    }

    private static void Write(CpuContext* cpu, GuestPhysicalAddress address, int size, ulong value)
    {
        var environment = CpuEnvironment.Of(cpu);
        if (environment.IsApicPage(address))
        {
            environment.Apic!.WriteMmio((int)(address.Value & 0xfff), size, value);
            return;
        }

        environment.Counters.MmioExits++;
        GuestPresence.Leave(cpu);
        environment.Bus.WriteMmio(address, size, value);
        GuestPresence.Enter(cpu);
    }
}
