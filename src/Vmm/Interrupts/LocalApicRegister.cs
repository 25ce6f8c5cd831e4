namespace WebVm.Vmm.Interrupts;

/// <summary>Offsets in the xAPIC page (SDM Vol. 3A table 11-1); the x2APIC MSR of a register is 0x800 + offset / 16.</summary>
internal static class LocalApicRegister
{
    public const int Id = 0x20;
    public const int Version = 0x30;
    public const int TaskPriority = 0x80;
    public const int ArbitrationPriority = 0x90;
    public const int ProcessorPriority = 0xa0;
    public const int EndOfInterrupt = 0xb0;
    public const int RemoteRead = 0xc0;
    public const int LogicalDestination = 0xd0;
    public const int DestinationFormat = 0xe0;
    public const int SpuriousVector = 0xf0;
    public const int InService = 0x100;
    public const int TriggerMode = 0x180;
    public const int InterruptRequest = 0x200;
    public const int ErrorStatus = 0x280;
    public const int InterruptCommand = 0x300;
    public const int InterruptCommandHigh = 0x310;
    public const int LvtTimer = 0x320;
    public const int LvtThermal = 0x330;
    public const int LvtPerformance = 0x340;
    public const int LvtLint0 = 0x350;
    public const int LvtLint1 = 0x360;
    public const int LvtError = 0x370;
    public const int InitialCount = 0x380;
    public const int CurrentCount = 0x390;
    public const int DivideConfiguration = 0x3e0;
    public const int SelfIpi = 0x3f0;

    /// <summary>Mask bit of every LVT entry.</summary>
    public const uint LvtMasked = 1 << 16;

    /// <summary>Level-triggered, of the LINT entries.</summary>
    public const uint LvtLevel = 1 << 15;

    /// <summary>APIC software enable, of the spurious-interrupt vector register.</summary>
    public const uint SoftwareEnable = 1 << 8;

    /// <summary>The writable bits of an LVT entry, mask bit included (SDM Vol. 3A figure 11-8).</summary>
    public static uint LvtWritable(int offset) => offset switch
    {
        LvtTimer => 0x0007_00ff,
        LvtThermal or LvtPerformance => 0x0001_07ff,
        LvtLint0 or LvtLint1 => 0x0001_a7ff,
        _ => 0x0001_00ff,
    };
}
