using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Interpretation;

/// <summary>Accesses to what is not memory: the local APIC's page, else the bus. The vCPU counts as outside the guest meanwhile.</summary>
internal static unsafe class DeviceAccess
{
    /// <summary>Moves <paramref name="size"/> bytes (within a page) in as few accesses of 1, 2, 4 or 8 bytes as their alignment allows.</summary>
    public static void Transfer(CpuContext* cpu, GuestPhysicalAddress physical, byte* buffer, uint size, bool write)
    {
        var vcpu = SoftVcpu.Of(cpu);
        while (size > 0)
        {
            uint piece = size switch { >= 8 => 8, >= 4 => 4, >= 2 => 2, _ => 1 };
            if (write)
            {
                ulong value = piece switch { 8 => *(ulong*)buffer, 4 => *(uint*)buffer, 2 => *(ushort*)buffer, _ => *buffer };
                vcpu.WriteDevice(physical, (int)piece, value);
            }
            else
            {
                ulong value = vcpu.ReadDevice(physical, (int)piece);
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
}
