using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Vcpu;

/// <content>The bus. Meanwhile the vCPU counts as outside the guest, so that whoever changes the memory map does not wait for it.</content>
internal sealed unsafe partial class SoftVcpu
{
    /// <summary>A read of what is not memory, on the vCPU's thread.</summary>
    public ulong ReadDevice(GuestPhysicalAddress address, int size)
    {
        if (IsApicPage(address))
        {
            return Apic!.ReadMmio((int)(address.Value & 0xfff), size);
        }

        Counters.MmioExits++;
        LeaveGuest();
        ulong value = Bus.ReadMmio(address, size);
        EnterGuest();
        return value;
    }

    public void WriteDevice(GuestPhysicalAddress address, int size, ulong value)
    {
        if (IsApicPage(address))
        {
            Apic!.WriteMmio((int)(address.Value & 0xfff), size, value);
            return;
        }

        Counters.MmioExits++;
        LeaveGuest();
        Bus.WriteMmio(address, size, value);
        EnterGuest();
    }

    public uint ReadPort(ushort port, int size)
    {
        Counters.PortExits++;
        LeaveGuest();
        uint value = Bus.ReadPort(port, size);
        EnterGuest();
        return value;
    }

    public void WritePort(ushort port, int size, uint value)
    {
        Counters.PortExits++;
        LeaveGuest();
        Bus.WritePort(port, size, value);
        EnterGuest();
    }

    /// <summary>Whether the local APIC answers at that physical address.</summary>
    public bool IsApicPage(GuestPhysicalAddress address) => Apic is { } apic && (address.Value & ~0xfffUL) == apic.Page?.Value;

    private void EnterGuest()
    {
        // Who changes the memory map asks first, then has every processor pass a barrier, then looks: one of the two sees the other.
        Volatile.Write(ref _cpu->InGuest, 1);
        if ((Volatile.Read(ref _cpu->Requests) & (int)CpuRequests.DropTranslations) != 0)
        {
            DropRequested();
        }
    }

    private void LeaveGuest() => Volatile.Write(ref _cpu->InGuest, 0);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void DropRequested()
    {
        Interlocked.And(ref _cpu->Requests, ~(int)CpuRequests.DropTranslations);
        DropStale();
    }
}
