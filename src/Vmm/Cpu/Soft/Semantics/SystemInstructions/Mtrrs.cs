using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Semantics.SystemInstructions;

/// <summary>Memory type range registers (SDM Vol. 3A §11.11): kept and validated; memory types have no effect here.</summary>
internal static unsafe class Mtrrs
{
    /// <summary>Eight variable ranges, fixed ranges, write combining.</summary>
    public const ulong Capabilities = ModelSpecificRegisters.VariableMtrrCount | (1 << 8) | (1 << 10);

    public static bool TryRead(CpuContext* cpu, uint msr, out ulong value)
    {
        var register = Find(cpu, msr);
        value = register == null ? 0 : *register;
        return register != null;
    }

    public static bool TryWrite(CpuContext* cpu, uint msr, ulong value)
    {
        var register = Find(cpu, msr);
        if (register == null || !IsValid(msr, value))
        {
            return false;
        }

        *register = value;
        return true;
    }

    private static ulong* Find(CpuContext* cpu, uint msr)
    {
        var registers = &cpu->State.Msr;
        return msr switch
        {
            >= Msr.MtrrVariableFirst and <= Msr.MtrrVariableLast => &registers->MtrrVariable[msr - Msr.MtrrVariableFirst],
            Msr.MtrrFixed64K => &registers->MtrrFixed[0],
            >= Msr.MtrrFixed16KFirst and <= Msr.MtrrFixed16KLast => &registers->MtrrFixed[1 + msr - Msr.MtrrFixed16KFirst],
            >= Msr.MtrrFixed4KFirst and <= Msr.MtrrFixed4KLast => &registers->MtrrFixed[3 + msr - Msr.MtrrFixed4KFirst],
            Msr.MtrrDefaultType => &registers->MtrrDefaultType,
            _ => null,
        };
    }

    private static bool IsValid(uint msr, ulong value)
    {
        const ulong BeyondPhysical = ulong.MaxValue << GuestMemory.AddressBits;
        if (msr == Msr.MtrrDefaultType)
        {
            return (value & ~0xcffUL) == 0 && IsType(value & 0xff);
        }

        if (msr is >= Msr.MtrrVariableFirst and <= Msr.MtrrVariableLast)
        {
            return (msr & 1) == 0
                ? (value & (BeyondPhysical | 0xf00)) == 0 && IsType(value & 0xff)
                : (value & (BeyondPhysical | 0x7ff)) == 0;
        }

        for (int i = 0; i < 64; i += 8)
        {
            if (!IsType((value >> i) & 0xff))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>UC, WC, WT, WP, WB.</summary>
    private static bool IsType(ulong type) => type is 0 or 1 or 4 or 5 or 6;
}
