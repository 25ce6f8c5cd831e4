using System.Runtime.InteropServices;
using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Context;

/// <summary>
/// Everything a handler can reach, in native memory: the architectural state at offset 0, then the engine's own fields.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct CpuContext
{
    public CpuState State;

    /// <summary>What host stubs work with; 64-byte aligned, as its place behind <see cref="State"/> makes it.</summary>
    public VectorScratch Vector;

    /// <summary>
    /// Bounce buffer of read-modify-write accesses that guest memory cannot take in place. Aligned by its place: CMPXCHG16B faults
    /// otherwise.
    /// </summary>
    public fixed byte Bounce[64];

    /// <summary>Zero flag: set when this is 0. See <see cref="LazyFlags"/>.</summary>
    public ulong FlagZero;

    /// <summary>Sign flag in bit 63; parity flag = even parity of bits 7:0.</summary>
    public ulong FlagSignParity;

    /// <summary>
    /// Carry out of the most significant bit in bit 63, carry into it in bit 62, carry out of bit 3 in bit 3; other bits undefined.
    /// </summary>
    public ulong FlagCarries;

    /// <summary>The table of the translation cache that data and instruction accesses of the current privilege use.</summary>
    public TlbEntry* Tlb;

    /// <summary>Low 12 bits that a matching translation's tags carry: the current address space. See <see cref="Paging.Tlb"/>.</summary>
    public ulong TlbTag;

    /// <summary>See <see cref="Memory.GuestMemory.SystemBase"/>.</summary>
    public byte* SystemBase;

    /// <summary>See <see cref="Memory.GuestMemory.PageFlags"/>.</summary>
    public byte* PageFlags;

    /// <summary>See <see cref="Memory.GuestMemory.PageVersions"/>.</summary>
    public uint* PageVersions;

    /// <summary>Decoded blocks by program counter; see <see cref="Operations.BlockLookup"/>, which alone knows what they are.</summary>
    public void* JumpCache;

    /// <summary>Instructions retired, counted per block on entry.</summary>
    public ulong Instructions;

    /// <summary>See <see cref="CpuRequests"/>: set by any thread, polled between blocks.</summary>
    public int Requests;

    /// <summary>What decoding depends on: <see cref="Operations.DecodeMode.Key"/> of the current mode.</summary>
    public uint Mode;

    /// <summary>What program counters are relative to: the base of CS, 0 in 64-bit mode.</summary>
    public ulong CodeBase;

    /// <summary>The vendor that CPUID shows, by whose manual instructions act.</summary>
    public CpuVendor Vendor;

    /// <summary>Current privilege level, 0 to 3.</summary>
    public byte Cpl;

    /// <summary>Why the loop was left.</summary>
    public Outcome Outcome;

    /// <summary>An interrupt was found pending while RFLAGS.IF was clear: enabling interrupts must leave the block.</summary>
    public byte InterruptLatched;

    /// <summary>Vector of the recorded exception.</summary>
    public ExceptionVector Exception;

    public uint ExceptionErrorCode;

    /// <summary>Value for CR2 (#PF) or bits to set in DR6 (#DB) when the recorded exception is delivered.</summary>
    public ulong ExceptionAddress;

    /// <summary>DR7 has data breakpoints enabled: every access takes the slow path.</summary>
    public byte DataBreakpoints;

    /// <summary>Ticks of the time stamp counter per nanosecond of VM time, with 32 bits of fraction.</summary>
    public ulong TscMultiplier;

    /// <summary>GCHandle of the <see cref="CpuEnvironment"/>.</summary>
    public nint Environment;

    /// <summary>GCHandle of the <see cref="Paging.Tlb"/>.</summary>
    public nint TranslationCache;

    /// <summary>GCHandle of what finds blocks and has them decoded; see <see cref="Operations.BlockLookup"/>.</summary>
    public nint BlockFinder;

    /// <summary>How blocks are found where the caches do not answer; see <see cref="Operations.BlockLookup"/>.</summary>
    public void* FindBlock;

    /// <summary>Advanced whenever decoded blocks are thrown away: pointers to them from before are dead.</summary>
    public uint BlockGeneration;

    /// <summary>DR7 has instruction breakpoints enabled: instructions execute one by one.</summary>
    public byte CodeBreakpoints;

    /// <summary>1 while guest memory may be touched; 0 outside <see cref="Vcpu.SoftVcpu.Run"/>, asleep and in calls of the bus.</summary>
    public int InGuest;

    /// <summary>Where the bounce buffer came from, and whether the global lock is held.</summary>
    public GuestVirtualAddress BounceAddress;

    public byte BounceLocked;

    /// <summary>Translations of the current privilege to what is not plain memory. See <see cref="Paging.Tlb"/>.</summary>
    public TlbEntry* Others;

    /// <summary>The processor is in 64-bit mode.</summary>
    public readonly bool IsCode64 => Mode >> 16 == 64;

    /// <summary>The privilege level that I/O and interrupt-flag instructions ask for.</summary>
    public readonly int Iopl => (int)(State.Rflags >> 12) & 3;
}
