using System.Runtime.InteropServices;

namespace WebVm.Vmm.Cpu.State;

/// <summary>A segment register with its hidden part (SDM Vol. 3A §3.4.3). 24 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct SegmentRegister
{
    public ulong Base;

    /// <summary>Last valid offset in bytes, granularity applied.</summary>
    public uint Limit;

    /// <summary>See <see cref="SegmentAttributes"/>.</summary>
    public SegmentAttributes Attributes;

    public ushort Selector;
}

/// <summary>Access rights in the format of a VMCS (SDM Vol. 3C §24.4.1, table 24-2): descriptor bits 40-55, then "unusable".</summary>
[Flags]
public enum SegmentAttributes : uint
{
    None = 0,
    Accessed = 1 << 0,

    /// <summary>Data: writable. Code: readable.</summary>
    WritableOrReadable = 1 << 1,

    /// <summary>Data: expands down. Code: conforming.</summary>
    ExpandDownOrConforming = 1 << 2,
    Code = 1 << 3,
    TypeMask = 0xf,

    /// <summary>S: code or data, not a system segment.</summary>
    CodeOrData = 1 << 4,
    DplMask = 3 << 5,
    Present = 1 << 7,
    Available = 1 << 12,

    /// <summary>L: 64-bit code.</summary>
    Long = 1 << 13,

    /// <summary>D/B: 32-bit default operand, stack or upper bound.</summary>
    Default32 = 1 << 14,
    Granularity4K = 1 << 15,

    /// <summary>A null selector was loaded.</summary>
    Unusable = 1 << 16,
}

/// <summary>Instruction encoding order of the segment registers; also their order in <see cref="CpuState"/>.</summary>
public enum SegmentIndex : byte
{
    Es,
    Cs,
    Ss,
    Ds,
    Fs,
    Gs,
    Ldtr,
    Tr,
}

/// <summary>GDTR or IDTR. 16 bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct DescriptorTableRegister
{
    public ulong Base;
    public ushort Limit;
}
