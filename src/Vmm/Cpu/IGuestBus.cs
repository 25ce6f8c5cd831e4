using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu;

/// <summary>
/// Everything of a guest's that is not memory, as a CPU reaches it. Any access is answered: a hole reads as all ones and
/// swallows writes. Values are zero-extended; sizes are 1, 2, 4 or (MMIO only) 8 bytes. Calls come from any vCPU thread.
/// </summary>
public interface IGuestBus
{
    uint ReadPort(ushort port, int size);

    void WritePort(ushort port, int size, uint value);

    ulong ReadMmio(GuestPhysicalAddress address, int size);

    void WriteMmio(GuestPhysicalAddress address, int size, ulong value);
}
