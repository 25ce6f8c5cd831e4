using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Paging;



namespace WebVm.Vmm.Cpu.Soft.Access;

/// <summary>I/O ports. The vCPU counts as outside the guest meanwhile.</summary>
internal static unsafe class PortAccess
{
    public static uint Read(CpuContext* cpu, ushort port, int size)
    {
        var environment = CpuEnvironment.Of(cpu);
        environment.Counters.PortExits++;
        GuestPresence.Leave(cpu);
        uint value = environment.Bus.ReadPort(port, size);
        GuestPresence.Enter(cpu);
        return value;
    }

    public static void Write(CpuContext* cpu, ushort port, int size, uint value)
    {
        var environment = CpuEnvironment.Of(cpu);
        environment.Counters.PortExits++;
        GuestPresence.Leave(cpu);
        environment.Bus.WritePort(port, size, value);
        GuestPresence.Enter(cpu);
    }
}
