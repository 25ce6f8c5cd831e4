using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Tests.Cpu;

internal static unsafe class HostMemory
{
    /// <summary>The host address of guest memory; what lies side by side in one region does so here.</summary>
    public static byte* HostAt(this GuestMemory memory, ulong address)
    {
        var backing = memory.Resolve(new GuestPhysicalAddress(address));
        return backing.Kind != BackingKind.Bus
            ? memory.Host(backing.Address)
            : throw new InvalidOperationException($"There is no memory at {address:x}.");
    }
}
