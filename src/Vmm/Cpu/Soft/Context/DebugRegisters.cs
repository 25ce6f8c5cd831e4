using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Context;

/// <summary>Hardware breakpoints (SDM Vol. 3B §17.2).</summary>
internal static unsafe class DebugRegisters
{
    private const int Execute = 0;
    private const int Write = 1;
    private const int ReadWrite = 3;

    /// <summary>DR7.GD.</summary>
    public const ulong GeneralDetect = 1 << 13;

    /// <summary>DR6.BS.</summary>
    public const uint SingleStep = 1 << 14;

    /// <summary>DR6.BT.</summary>
    public const uint TaskSwitch = 1 << 15;

    /// <summary>What can wait to be reported: B0-B3, BS, BT.</summary>
    public const uint Conditions = 0xf | SingleStep | TaskSwitch;

    /// <summary>Whether DR7 enables any data breakpoint.</summary>
    public static bool HasData(CpuContext* cpu) => Any(cpu, data: true);

    /// <summary>Whether DR7 enables any instruction breakpoint.</summary>
    public static bool HasCode(CpuContext* cpu) => Any(cpu, data: false);

    /// <summary>Notes data breakpoints that an access hits: they trap after the instruction.</summary>
    public static void ObserveData(CpuContext* cpu, GuestVirtualAddress linear, uint size, bool write)
    {
        ulong control = cpu->State.Dr[7];
        for (int i = 0; i < 4; i++)
        {
            int kind = Kind(control, i);
            if (!Enabled(control, i) || (kind == Write ? !write : kind != ReadWrite))
            {
                continue;
            }

            ulong length = Length(control, i);
            ulong start = cpu->State.Dr[i] & ~(length - 1);
            if (linear.Value < start + length && start < linear.Value + size)
            {
                cpu->State.PendingDebug |= 1u << i;
                Interlocked.Or(ref cpu->Requests, (int)CpuRequests.Debug);
            }
        }
    }

    /// <summary>The instruction breakpoints at a linear address, as DR6 bits.</summary>
    public static uint CodeAt(CpuContext* cpu, GuestVirtualAddress linear)
    {
        uint hit = 0;
        ulong control = cpu->State.Dr[7];
        for (int i = 0; i < 4; i++)
        {
            if (Enabled(control, i) && Kind(control, i) == Execute && cpu->State.Dr[i] == linear.Value)
            {
                hit |= 1u << i;
            }
        }

        return hit;
    }

    /// <summary>
    /// Sets DR6 for a debug exception: B0-B3 tell of this one alone; the bits above stay until software clears them (SDM Vol. 3B §17.2.3).
    /// </summary>
    public static void Report(ref CpuState state, ulong conditions) => state.Dr[6] = (state.Dr[6] & ~0xfUL) | conditions;

    private static bool Any(CpuContext* cpu, bool data)
    {
        ulong control = cpu->State.Dr[7];
        for (int i = 0; i < 4; i++)
        {
            bool isData = Kind(control, i) is Write or ReadWrite;
            if (Enabled(control, i) && (data ? isData : Kind(control, i) == Execute))
            {
                return true;
            }
        }

        return false;
    }

    private static bool Enabled(ulong control, int index) => ((control >> (index * 2)) & 3) != 0;

    private static int Kind(ulong control, int index) => (int)(control >> (16 + (index * 4))) & 3;

    private static ulong Length(ulong control, int index) => ((control >> (18 + (index * 4))) & 3) switch
    {
        0 => 1,
        1 => 2,
        2 => 8,
        _ => 4,
    };
}
