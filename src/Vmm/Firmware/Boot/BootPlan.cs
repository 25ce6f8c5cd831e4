using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Devices;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Firmware.Boot;

/// <summary>The guest lies in memory; this is how its boot processor enters it.</summary>
public sealed unsafe class BootPlan
{
    private const ulong Cr0ProtectionEnable = 1 << 0;
    private const ulong Cr0ExtensionType = 1 << 4;
    private const ulong Cr0NumericError = 1 << 5;
    private const ulong Cr0Paging = 1UL << 31;
    private const ulong Cr4PhysicalAddressExtension = 1 << 5;
    private const ulong EferLongModeEnable = 1 << 8;
    private const ulong EferLongModeActive = 1 << 10;

    /// <summary>RFLAGS bit 1 always reads as 1; interrupts are off, as every protocol here demands.</summary>
    private const ulong Rflags = 1 << 1;

    private const int Rax = 0;
    private const int Rbx = 3;
    private const int Rsi = 6;

    /// <summary>What the kernel was recognized as.</summary>
    public required BootProtocol Protocol { get; init; }

    public required GuestPhysicalAddress Entry { get; init; }

    /// <summary>Entered in 64-bit mode with paging; otherwise in 32-bit protected mode without.</summary>
    public required bool LongMode { get; init; }

    /// <summary>The system address map that the guest was given.</summary>
    public required MemoryMap Map { get; init; }

    /// <summary>Where the kernel's own image begins and ends in guest memory.</summary>
    public required GuestPhysicalAddress ImageStart { get; init; }

    public required GuestPhysicalAddress ImageEnd { get; init; }

    internal GuestPhysicalAddress DescriptorTable { get; init; }

    internal GuestPhysicalAddress PageTable { get; init; }

    internal ulong InitialRax { get; init; }

    internal ulong InitialRbx { get; init; }

    internal ulong InitialRsi { get; init; }

    /// <summary>
    /// Turns the power-on state of the boot processor into the kernel's entry state, <see cref="ApplyFirmware"/> included. Everything
    /// that neither names keeps its power-on value.
    /// </summary>
    public void Apply(CpuState* state)
    {
        ApplyFirmware(state);
        for (int register = 0; register < 16; register++)
        {
            state->Gpr[register] = 0;
        }

        state->Gpr[Rax] = InitialRax;
        state->Gpr[Rbx] = InitialRbx;
        state->Gpr[Rsi] = InitialRsi;
        state->Rip = Entry.Value;
        state->Rflags = Rflags;
        state->Segments[SegmentIndex.Cs] = BootTables.Code(LongMode);
        for (var segment = SegmentIndex.Es; segment <= SegmentIndex.Gs; segment++)
        {
            if (segment != SegmentIndex.Cs)
            {
                state->Segments[segment] = BootTables.Data;
            }
        }

        state->Segments[SegmentIndex.Ldtr] = BootTables.NoLocalTable;
        state->Segments[SegmentIndex.Tr] = BootTables.Task;
        state->Gdtr = new DescriptorTableRegister { Base = DescriptorTable.Value, Limit = BootTables.DescriptorTableSize - 1 };
        // No protocol promises an IDT. It keeps its power-on value: an empty one marks a reset that the guest asks for by a triple fault.
        state->Cr0 = Cr0ProtectionEnable | Cr0ExtensionType | Cr0NumericError | (LongMode ? Cr0Paging : 0);
        state->Cr2 = 0;
        state->Cr3 = LongMode ? PageTable.Value : 0;
        state->Cr4 = LongMode ? Cr4PhysicalAddressExtension : 0;
        state->Efer = LongMode ? EferLongModeEnable | EferLongModeActive : 0;
        state->Activity = VcpuActivity.Active;
    }

    /// <summary>
    /// What firmware sets on every processor before an operating system runs: memory types (SDM Vol. 3A §11.11), write-back by default
    /// and uncached for the PCI windows. Linux complains of processors whose MTRRs differ.
    /// </summary>
    public static void ApplyFirmware(CpuState* state)
    {
        const ulong enable = 1 << 11;
        const ulong fixedEnable = 1 << 10;
        const ulong writeBack = 6;
        const ulong uncached = 0;
        const ulong addressMask = GuestMemory.AddressSpaceSize - 1;

        ref var msr = ref state->Msr;
        msr.MtrrDefaultType = enable | fixedEnable | writeBack;
        for (int i = 0; i < ModelSpecificRegisters.VariableMtrrCount * 2; i++)
        {
            msr.MtrrVariable[i] = 0;
        }

        // Direct boot's map: what is covered has to be powers of two.
        SetRange(ref msr, 0, PlatformMap.DirectLowMemoryEnd, PlatformMap.HighMemory - PlatformMap.DirectLowMemoryEnd);
        SetRange(ref msr, 1, PlatformMap.HighPci, GuestMemory.AddressSpaceSize - PlatformMap.HighPci);

        // 0-0x9ffff write-back, adapters' memory uncached, ROM (0xc0000-0xfffff) write-protected as PC firmware leaves it.
        const ulong allWriteBack = 0x0606_0606_0606_0606;
        const ulong allWriteProtected = 0x0505_0505_0505_0505;
        msr.MtrrFixed[0] = allWriteBack;
        msr.MtrrFixed[1] = allWriteBack;
        msr.MtrrFixed[2] = 0;
        for (int i = 3; i < 11; i++)
        {
            msr.MtrrFixed[i] = allWriteProtected;
        }

        static void SetRange(ref ModelSpecificRegisters msr, int index, ulong start, ulong length)
        {
            msr.MtrrVariable[index * 2] = start | uncached;
            msr.MtrrVariable[(index * 2) + 1] = (~(length - 1) & addressMask) | enable;
        }
    }
}
