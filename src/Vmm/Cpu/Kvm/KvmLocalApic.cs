using System.Buffers.Binary;
using WebVm.Vmm.Host.Native;
using WebVm.Vmm.Interrupts;

namespace WebVm.Vmm.Cpu.Kvm;

/// <summary>
/// A local APIC's register page between KVM and <see cref="LocalApicState"/>: the same page, and the timer's deadline in VM time.
/// </summary>
internal static unsafe class KvmLocalApic
{
    // Register offsets (SDM Vol. 3A table 11-1).
    private const int LvtTimer = 0x320;
    private const int InitialCount = 0x380;
    private const int CurrentCount = 0x390;
    private const int DivideConfiguration = 0x3e0;

    private const uint ModeMask = 3 << 17;
    private const uint TscDeadlineMode = 2 << 17;

    /// <summary>Nanoseconds of KVM's APIC bus clock.</summary>
    private const long BusCycle = 1;

    public static LocalApicState FromKvm(kvm_lapic_state lapic, long now)
    {
        byte[] registers = new ReadOnlySpan<byte>(lapic.regs, KvmFlags.KVM_APIC_REG_SIZE).ToArray();
        uint remaining = Register(registers, CurrentCount);
        bool counts = (Register(registers, LvtTimer) & ModeMask) != TscDeadlineMode && Register(registers, InitialCount) != 0
            && remaining != 0;
        return new LocalApicState
        {
            Registers = registers,
            TimerDeadline = counts ? now + (remaining * Divisor(Register(registers, DivideConfiguration)) * BusCycle) : 0,
        };
    }

    public static kvm_lapic_state ToKvm(LocalApicState state, long now)
    {
        byte[] registers = new byte[KvmFlags.KVM_APIC_REG_SIZE];
        state.Registers.AsSpan(0, Math.Min(state.Registers.Length, registers.Length)).CopyTo(registers);

        // KVM restarts the timer from the current count.
        if (state.TimerDeadline != 0 && (Register(registers, LvtTimer) & ModeMask) != TscDeadlineMode
            && Register(registers, InitialCount) != 0)
        {
            long ticks = (state.TimerDeadline - now) / (Divisor(Register(registers, DivideConfiguration)) * BusCycle);
            BinaryPrimitives.WriteUInt32LittleEndian(registers.AsSpan(CurrentCount), (uint)Math.Clamp(ticks, 1, uint.MaxValue));
        }

        kvm_lapic_state lapic;
        registers.CopyTo(new Span<byte>(lapic.regs, KvmFlags.KVM_APIC_REG_SIZE));
        return lapic;
    }

    /// <summary>1 to 128 (SDM Vol. 3A figure 11-10).</summary>
    private static long Divisor(uint configuration)
    {
        uint code = (configuration & 3) | ((configuration >> 1) & 4);
        return code == 7 ? 1 : 2L << (int)code;
    }

    private static uint Register(byte[] registers, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(registers.AsSpan(offset));
}
