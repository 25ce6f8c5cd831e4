using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Cpu.Kvm;

/// <summary>Segment and descriptor-table registers in KVM's form and in ours.</summary>
internal static class KvmSegments
{
    public static SegmentRegister FromKvm(in kvm_segment segment) => new()
    {
        Base = segment.@base,
        Limit = segment.limit,
        Selector = segment.selector,
        Attributes = (SegmentAttributes)((segment.type & 0xfu) | ((segment.s & 1u) << 4) | ((segment.dpl & 3u) << 5)
            | ((segment.present & 1u) << 7)
            | ((segment.avl & 1u) << 12) | ((segment.l & 1u) << 13) | ((segment.db & 1u) << 14) | ((segment.g & 1u) << 15)
            | ((segment.unusable & 1u) << 16)),
    };

    public static kvm_segment ToKvm(in SegmentRegister segment)
    {
        uint attributes = (uint)segment.Attributes;
        return new kvm_segment
        {
            @base = segment.Base,
            limit = segment.Limit,
            selector = segment.Selector,
            type = (byte)(attributes & 0xf),
            s = Bit(attributes, 4),
            dpl = (byte)((attributes >> 5) & 3),
            present = Bit(attributes, 7),
            avl = Bit(attributes, 12),
            l = Bit(attributes, 13),
            db = Bit(attributes, 14),
            g = Bit(attributes, 15),
            unusable = Bit(attributes, 16),
        };
    }

    public static DescriptorTableRegister FromKvm(in kvm_dtable table) => new() { Base = table.@base, Limit = table.limit };

    public static kvm_dtable ToKvm(in DescriptorTableRegister table) => new() { @base = table.Base, limit = table.Limit };

    private static byte Bit(uint value, int bit) => (byte)((value >> bit) & 1);
}
