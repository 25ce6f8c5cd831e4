using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Paravirtualization;

/// <summary>
/// VMCALL as KVM answers it (Linux, Documentation/virt/kvm/x86/hypercalls.rst): number in RAX, arguments in RBX, RCX, RDX, RSI.
/// </summary>
internal static unsafe class KvmHypercalls
{
    private const ulong KickCpu = 5;
    private const ulong SendIpi = 10;
    private const ulong SchedYield = 11;

    private const long NotPermitted = -1; // -KVM_EPERM
    private const long Unknown = -1000; // -KVM_ENOSYS

    /// <summary>Carries the call out and leaves its result in RAX.</summary>
    public static void Execute(CpuContext* cpu)
    {
        ulong* registers = cpu->State.Gpr;
        bool wide = DecodeMode.FromKey(cpu->Mode).Bitness == 64;
        ulong mask = wide ? ulong.MaxValue : uint.MaxValue;
        long result = cpu->Cpl != 0
            ? NotPermitted
            : Call(cpu, registers[0] & mask, registers[3] & mask, registers[1] & mask, registers[2] & mask, registers[6] & mask, wide);
        registers[0] = (ulong)result & mask;
    }

    private static long Call(CpuContext* cpu, ulong number, ulong first, ulong second, ulong third, ulong fourth, bool wide)
    {
        if (CpuEnvironment.Of(cpu).Apic is not { } apic)
        {
            return Unknown;
        }

        switch (number)
        {
            case KickCpu:
                apic.Bus.Unhalt((uint)second);
                return 0;
            case SendIpi:
                return apic.Bus.SendToBitmap(first, second, (uint)third, wide ? 64 : 32, (uint)fourth);
            case SchedYield:
                Thread.Yield();
                return 0;
            default:
                return Unknown;
        }
    }
}
