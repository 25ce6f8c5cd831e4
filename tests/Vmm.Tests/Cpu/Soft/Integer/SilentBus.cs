using WebVm.Vmm.Cpu;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Tests.Cpu.Soft.Integer;

/// <summary>A bus with nothing on it.</summary>
internal sealed class SilentBus : IGuestBus
{
    public uint ReadPort(ushort port, int size) => uint.MaxValue;

    public void WritePort(ushort port, int size, uint value)
    {
    }

    public ulong ReadMmio(GuestPhysicalAddress address, int size) => ulong.MaxValue;

    public void WriteMmio(GuestPhysicalAddress address, int size, ulong value)
    {
    }
}
