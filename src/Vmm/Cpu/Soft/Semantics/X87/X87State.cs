using System.Runtime.CompilerServices;
using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Operations;
using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Semantics.X87;

/// <summary>The x87 FPU's registers in the legacy XSAVE region (SDM Vol. 1 §8.1, §10.5.1).</summary>
internal static unsafe class X87State
{
    public const ushort InitialControlWord = 0x037f;

    /// <summary>IE DE ZE OE UE PE of the status word; the same bits of the control word mask them.</summary>
    public const int ExceptionFlags = 0x3f;

    public const int ErrorSummary = 1 << 7;
    public const int Busy = 1 << 15;

    private const int TopShift = 11;
    private const int TopMask = 7 << TopShift;

    public static int Top(CpuContext* cpu) => (cpu->State.Xsave.StatusWord & TopMask) >> TopShift;

    /// <summary>An unmasked exception waits for the next waiting instruction (SDM Vol. 1 §8.7).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool IsExceptionPending(CpuContext* cpu) =>
        (cpu->State.Xsave.StatusWord & ~cpu->State.Xsave.ControlWord & ExceptionFlags) != 0;

    /// <summary>
    /// Whether a waiting instruction must raise #MF now. With CR0.NE clear the processor would signal FERR# instead, which a PC wired to
    /// IRQ 13; this machine has no such wire, so IGNNE# counts as asserted and execution goes on (SDM Vol. 1 appendix D.2.1).
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static bool MustFault(CpuContext* cpu) => IsExceptionPending(cpu) && (cpu->State.Cr0 & Cr0.Ne) != 0;

    public static Operation* RaisePending(CpuContext* cpu, Operation* op) => Faults.Raise(cpu, op, ExceptionVector.MathFault);

    /// <summary>A control word as the FPU keeps it: bit 6 always set, reserved bits clear.</summary>
    public static ushort ValidControlWord(ushort value) => (ushort)((value & 0x1f3f) | 0x40);

    /// <summary>Makes ES and B say what flags and masks say; the host must never be given anything else to load.</summary>
    public static void Summarize(CpuContext* cpu)
    {
        int status = cpu->State.Xsave.StatusWord & ~(ErrorSummary | Busy);
        if (IsExceptionPending(cpu))
        {
            status |= ErrorSummary | Busy;
        }

        cpu->State.Xsave.StatusWord = (ushort)status;
    }

    /// <summary>FNINIT (SDM Vol. 2A FINIT/FNINIT). The registers keep their contents and become empty.</summary>
    public static void Initialize(CpuContext* cpu)
    {
        ref XsaveArea area = ref cpu->State.Xsave;
        RotateStack(cpu, 0);
        area.ControlWord = InitialControlWord;
        area.StatusWord = 0;
        area.TagWord = 0;
        area.Opcode = 0;
        area.InstructionPointer = 0;
        area.DataPointer = 0;
    }

    /// <summary>Every MMX instruction but EMMS sets TOP to 0 and marks all registers valid (SDM Vol. 1 §9.5.1).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void EnterMmx(CpuContext* cpu)
    {
        if ((cpu->State.Xsave.StatusWord & TopMask) != 0)
        {
            RotateStack(cpu, 0);
        }

        cpu->State.Xsave.TagWord = 0xff;
    }

    /// <summary>Changes TOP while every physical register keeps its contents. The save area holds ST(0) first, so its slots move.</summary>
    public static void RotateStack(CpuContext* cpu, int newTop)
    {
        int shift = (newTop - Top(cpu)) & 7;
        var slots = new Span<UInt128>(cpu->State.Xsave.St, 8);
        if (shift != 0)
        {
            Span<UInt128> old = stackalloc UInt128[8];
            slots.CopyTo(old);
            for (int i = 0; i < 8; i++)
            {
                slots[i] = old[(i + shift) & 7];
            }
        }

        cpu->State.Xsave.StatusWord = (ushort)((cpu->State.Xsave.StatusWord & ~TopMask) | (newTop << TopShift));
    }

    /// <summary>The tag word of FSTENV and FSAVE: two bits per physical register (SDM Vol. 1 §8.1.7).</summary>
    public static ushort FullTagWord(CpuContext* cpu)
    {
        int tags = 0;
        int top = Top(cpu);
        for (int physical = 0; physical < 8; physical++)
        {
            int tag = 3;
            if ((cpu->State.Xsave.TagWord & (1 << physical)) != 0)
            {
                byte* register = cpu->State.Xsave.St + (((physical - top) & 7) * 16);
                tag = Classify(*(ulong*)register, *(ushort*)(register + 8) & 0x7fff);
            }

            tags |= tag << (physical * 2);
        }

        return (ushort)tags;
    }

    public static byte AbridgedTagWord(ushort full)
    {
        int tags = 0;
        for (int i = 0; i < 8; i++)
        {
            if (((full >> (i * 2)) & 3) != 3)
            {
                tags |= 1 << i;
            }
        }

        return (byte)tags;
    }

    // 0 valid, 1 zero, 2 special: NaN, infinity, denormal, unnormal.
    private static int Classify(ulong significand, int exponent) =>
        exponent == 0 && significand == 0 ? 1
        : exponent == 0x7fff || exponent == 0 || significand >> 63 == 0 ? 2
        : 0;
}
