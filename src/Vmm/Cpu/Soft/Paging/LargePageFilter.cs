using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Paging;

/// <summary>
/// Which regions may have been entered as pieces of a large page: a hashed bitmap for each half of the address space, as user addresses,
/// which are invalidated one by one, must not suffer from the kernel's large pages.
/// </summary>
internal sealed class LargePageFilter(int shift)
{
    private const int Bits = 4096;

    private readonly ulong[] _lower = new ulong[Bits / 64];
    private readonly ulong[] _upper = new ulong[Bits / 64];
    private bool _used;

    public void Mark(GuestVirtualAddress linear)
    {
        uint bit = Hash(linear);
        Half(linear)[bit >> 6] |= 1UL << (int)(bit & 63);
        _used = true;
    }

    public bool MayHold(GuestVirtualAddress linear)
    {
        uint bit = Hash(linear);
        return _used && (Half(linear)[bit >> 6] & (1UL << (int)(bit & 63))) != 0;
    }

    public void Clear()
    {
        if (_used)
        {
            Array.Clear(_lower);
            Array.Clear(_upper);
            _used = false;
        }
    }

    private ulong[] Half(GuestVirtualAddress linear) => (long)linear.Value < 0 ? _upper : _lower;

    private uint Hash(GuestVirtualAddress linear) => (uint)(((linear.Value >> shift) * 0x9e37_79b9_7f4a_7c15) >> 52);
}
