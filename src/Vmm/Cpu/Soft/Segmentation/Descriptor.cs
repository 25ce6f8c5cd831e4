using WebVm.Vmm.Cpu.State;

namespace WebVm.Vmm.Cpu.Soft.Segmentation;

/// <summary>A segment or gate descriptor as it lies in a descriptor table (SDM Vol. 3A §3.4.5).</summary>
internal readonly record struct Descriptor(ulong Low, ulong High = 0)
{
    public bool IsCodeOrData => (Low & (1UL << 44)) != 0;

    public bool IsCode => (Low & (0x18UL << 40)) == 0x18UL << 40;

    public bool IsData => (Low & (0x18UL << 40)) == 0x10UL << 40;

    /// <summary>Type of a code or data segment, or of a system descriptor.</summary>
    public int Type => (int)(Low >> 40) & 0xf;

    public bool IsConforming => (Low & (1UL << 42)) != 0;

    public bool IsWritable => IsData && (Low & (1UL << 41)) != 0;

    /// <summary>Data, or code that may be read.</summary>
    public bool IsReadable => IsData || (IsCode && (Low & (1UL << 41)) != 0);

    public int Dpl => (int)(Low >> 45) & 3;

    public bool IsPresent => (Low & (1UL << 47)) != 0;

    public bool IsLong => (Low & (1UL << 53)) != 0;

    public bool IsDefault32 => (Low & (1UL << 54)) != 0;

    public bool IsAccessed => (Low & (1UL << 40)) != 0;

    public uint Base => (uint)((Low >> 16) & 0xff_ffff) | ((uint)(Low >> 56) << 24);

    /// <summary>Base of a 16-byte system descriptor of IA-32e mode.</summary>
    public ulong LongBase => Base | (High << 32);

    /// <summary>Last valid offset, granularity applied.</summary>
    public uint Limit
    {
        get
        {
            uint limit = (uint)(Low & 0xffff) | (uint)((Low >> 32) & 0xf_0000);
            return (Low & (1UL << 55)) != 0 ? (limit << 12) | 0xfff : limit;
        }
    }

    public SegmentAttributes Attributes => (SegmentAttributes)((Low >> 40) & 0xf0ff);

    /// <summary>Selector of a gate.</summary>
    public ushort GateSelector => (ushort)(Low >> 16);

    /// <summary>Offset of a 16- or 32-bit gate.</summary>
    public uint GateOffset => (uint)(Low & 0xffff) | (uint)((Low >> 32) & 0xffff_0000);

    /// <summary>Offset of a 16-byte gate of IA-32e mode.</summary>
    public ulong LongGateOffset => GateOffset | (High << 32);

    /// <summary>Fills a code or data segment register; the segment counts as accessed.</summary>
    public unsafe void Load(SegmentRegister* register, ushort selector)
    {
        register->Selector = selector;
        register->Base = Base;
        register->Limit = Limit;
        register->Attributes = Attributes | SegmentAttributes.Accessed;
    }

    /// <summary>Fills LDTR or TR.</summary>
    public unsafe void LoadSystem(SegmentRegister* register, ushort selector, bool longMode)
    {
        register->Selector = selector;
        register->Base = longMode ? LongBase : Base;
        register->Limit = Limit;
        register->Attributes = Attributes;
    }
}
