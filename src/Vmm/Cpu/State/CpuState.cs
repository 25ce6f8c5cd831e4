using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace WebVm.Vmm.Cpu.State;

/// <summary>
/// The architectural state of one vCPU: a blittable struct in native memory (64-byte aligned), shared by the interpreter, the
/// translator, save/restore and the KVM bridge. The register file starts at offset 0; operations name registers by byte offset.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct CpuState
{
    /// <summary>Byte offset of <see cref="Zero"/> in the register file: the base or index of an address that has none.</summary>
    public const byte ZeroRegister = 16 * 8;

    /// <summary>Byte offset of <see cref="Rip"/> in the register file: the base of a RIP-relative address.</summary>
    public const byte RipRegister = 17 * 8;

    /// <summary>
    /// Byte offset of <see cref="FourGigabytes"/> in the register file: the index of a RIP-relative address that lies far ahead.
    /// </summary>
    public const byte FourGigabytesRegister = 18 * 8;

    /// <summary>RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8-R15.</summary>
    public fixed ulong Gpr[16];

    /// <summary>Always 0.</summary>
    public ulong Zero;

    /// <summary>
    /// Address of the next instruction. While the soft engine executes a block: address of the block's first instruction.
    /// </summary>
    public ulong Rip;

    /// <summary>Always 2^32.</summary>
    public ulong FourGigabytes;

    /// <summary>RFLAGS. While the soft engine executes a block, CF PF AF ZF SF OF are in its lazy flags instead.</summary>
    public ulong Rflags;

    public SegmentRegisters Segments;

    public DescriptorTableRegister Gdtr;
    public DescriptorTableRegister Idtr;

    public ulong Cr0;
    public ulong Cr2;
    public ulong Cr3;
    public ulong Cr4;

    /// <summary>Task priority: bits 7:4 of the local APIC's TPR.</summary>
    public ulong Cr8;

    public ulong Efer;
    public ulong Xcr0;

    /// <summary>DR0-DR7; 4 and 5 unused.</summary>
    public fixed ulong Dr[8];

    /// <summary>The page-directory-pointer entries loaded by the last MOV to CR3 in PAE paging (SDM Vol. 3A §4.4.1).</summary>
    public fixed ulong Pdpte[4];

    public ModelSpecificRegisters Msr;

    /// <summary>See <see cref="VcpuActivity"/>.</summary>
    public VcpuActivity Activity;

    /// <summary>Interrupts are held off for one instruction after STI (1) or MOV/POP SS (2) (SDM Vol. 3A §6.8.3).</summary>
    public byte InterruptShadow;

    /// <summary>An NMI handler runs; further NMIs wait for IRET.</summary>
    public byte NmiBlocked;

    /// <summary>Non-maskable interrupts that wait: two at most, one of them behind the first (SDM Vol. 3A §6.7.1).</summary>
    public byte NmiPending;

    /// <summary>SIPI vector that waits for a vCPU in <see cref="VcpuActivity.WaitForSipi"/>; 0x100 | vector, or 0.</summary>
    public ushort PendingSipi;

    /// <summary>INIT arrived and has not been acted on.</summary>
    public byte PendingInit;

    /// <summary>An event whose delivery was interrupted by an exit: 0, or 0x100 | vector.</summary>
    public ushort PendingEvent;

    /// <summary>
    /// How <see cref="PendingEvent"/> came about (interruption type, SDM Vol. 3C table 24-13: 0 external, 2 NMI, 3 exception, 4 software
    /// interrupt, 6 software exception).
    /// </summary>
    public byte PendingEventType;

    public byte PendingEventHasErrorCode;
    public uint PendingEventErrorCode;

    /// <summary>
    /// DR6 bits of debug conditions that were met and trap before the next instruction, or behind it if a load of SS holds them back (SDM
    /// Vol. 3A §6.8.3). Whoever delivers #DB takes them along, and any other fault drops them.
    /// </summary>
    public ulong PendingDebug;

    /// <summary>Brings <see cref="Xsave"/> to a multiple of 64.</summary>
    private fixed ulong _padding[5];

    /// <summary>x87, MXCSR and vector state as XSAVE's standard format stores it (SDM Vol. 1 §13.4). 64-byte aligned.</summary>
    public XsaveArea Xsave;

    /// <summary>Offset of <see cref="Xsave"/> from the start of the struct, a multiple of 64.</summary>
    public static int XsaveOffset { get; } = (int)Marshal.OffsetOf<CpuState>(nameof(Xsave));
}

/// <summary>What a vCPU is doing (SDM Vol. 3C §24.4.2).</summary>
public enum VcpuActivity : byte
{
    Active = 0,
    Halted = 1,
    Shutdown = 2,
    WaitForSipi = 3,
}

/// <summary>In <see cref="SegmentIndex"/> order.</summary>
[InlineArray(8)]
public struct SegmentRegisters
{
    private SegmentRegister _first;

    public ref SegmentRegister this[SegmentIndex index] =>
        ref System.Runtime.CompilerServices.Unsafe.Add(ref System.Runtime.CompilerServices.Unsafe.AsRef(ref _first), (int)index);
}

/// <summary>The MSRs with a value of their own (SDM Vol. 4). EFER, FS.base and GS.base lie elsewhere.</summary>
[StructLayout(LayoutKind.Sequential)]
public unsafe struct ModelSpecificRegisters
{
    public const int VariableMtrrCount = 8;

    public ulong ApicBase;
    public ulong Star;
    public ulong Lstar;
    public ulong Cstar;
    public ulong Sfmask;
    public ulong KernelGsBase;
    public ulong SysenterCs;
    public ulong SysenterEsp;
    public ulong SysenterEip;
    public ulong Pat;

    /// <summary>IA32_TSC less VM time in TSC ticks: what WRMSR changes.</summary>
    public ulong TscOffset;

    /// <summary>The guest's time stamp counter when the state was saved. Engines use it on load, and refresh it on save.</summary>
    public ulong Tsc;

    /// <summary>Frequency of the time stamp counter in kHz; 0 when not known. Guests measure it once and rely on it ever after.</summary>
    public ulong TscKilohertz;
    public ulong TscAdjust;
    public ulong TscAux;
    public ulong TscDeadline;
    public ulong MiscEnable;
    public ulong Xss;
    public ulong SpecCtrl;
    public ulong MtrrDefaultType;
    public fixed ulong MtrrFixed[11];

    /// <summary>Base and mask of each variable range in turn.</summary>
    public fixed ulong MtrrVariable[VariableMtrrCount * 2];

    public ulong KvmSystemTime;
    public ulong KvmWallClock;
    public ulong KvmSteal;
    public ulong KvmPvEoi;
    public ulong KvmPollControl;

    /// <summary>IA32_PKRS: the rights of protection keys of supervisor pages.</summary>
    public ulong Pkrs;
}

/// <summary>The first 840 bytes of XSAVE's standard format: legacy region, header, high halves of YMM0-15, PKRU.</summary>
[StructLayout(LayoutKind.Explicit, Size = 832 + 64)]
public unsafe struct XsaveArea
{
    public const int XmmOffset = 160;
    public const int YmmHighOffset = 576;
    public const int PkruOffset = 832;

    [FieldOffset(0)]
    public ushort ControlWord;

    [FieldOffset(2)]
    public ushort StatusWord;

    /// <summary>Abridged tag word: a bit per register, 1 = not empty.</summary>
    [FieldOffset(4)]
    public byte TagWord;

    [FieldOffset(6)]
    public ushort Opcode;

    [FieldOffset(8)]
    public ulong InstructionPointer;

    [FieldOffset(16)]
    public ulong DataPointer;

    [FieldOffset(24)]
    public uint Mxcsr;

    [FieldOffset(28)]
    public uint MxcsrMask;

    /// <summary>ST0-ST7 (top of stack first), 16 bytes each of which 10 count.</summary>
    [FieldOffset(32)]
    public fixed byte St[8 * 16];

    [FieldOffset(XmmOffset)]
    public fixed byte Xmm[16 * 16];

    /// <summary>XSTATE_BV of the header.</summary>
    [FieldOffset(512)]
    public ulong StateBitmap;

    [FieldOffset(520)]
    public ulong CompactedBitmap;

    [FieldOffset(YmmHighOffset)]
    public fixed byte YmmHigh[16 * 16];

    /// <summary>The rights of protection keys, 32 bits (SDM Vol. 3A §4.6.2).</summary>
    [FieldOffset(PkruOffset)]
    public ulong Pkru;
}
