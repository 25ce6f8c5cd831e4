using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Kvm;

/// <summary>Keeps KVM's memory slots equal to the guest's memory map, a slot per region. Called under the memory map's lock.</summary>
internal sealed unsafe class KvmMemorySlots(FileDescriptor vm, GuestMemory memory) : IMemoryListener
{
    private readonly Dictionary<GuestMemoryRegion, uint> _slots = [];
    private readonly SortedSet<uint> _free = [];
    private uint _next;
    private ulong[] _bitmap = [];

    public void RegionAdded(GuestMemoryRegion region)
    {
        uint slot = _next;
        if (_free.Count > 0)
        {
            slot = _free.Min;
            _free.Remove(slot);
        }
        else
        {
            _next++;
        }

        _slots.Add(region, slot);
        Set(region, slot, region.Size);
    }

    public void RegionRemoving(GuestMemoryRegion region)
    {
        if (_slots.Remove(region, out uint slot))
        {
            // KVM has no translation of the slot left, in any vCPU, when this returns.
            Set(region, slot, 0);
            _free.Add(slot);
        }
    }

    public void DirtyTrackingChanged(GuestMemoryRegion region)
    {
        if (_slots.TryGetValue(region, out uint slot))
        {
            Set(region, slot, region.Size);
        }
    }

    public void CollectDirty(GuestMemoryRegion region, Span<ulong> bitmap)
    {
        if (!region.DirtyTracking || !_slots.TryGetValue(region, out uint slot))
        {
            return;
        }

        int words = (region.PageCount + 63) / 64;
        if (_bitmap.Length < words)
        {
            _bitmap = new ulong[words];
        }

        fixed (ulong* bits = _bitmap)
        {
            var log = new kvm_dirty_log { slot = slot, dirty_bitmap = bits };
            KvmCalls.Require(vm.Number, KvmRequests.KVM_GET_DIRTY_LOG, &log, nameof(KvmRequests.KVM_GET_DIRTY_LOG));
        }

        for (int word = 0; word < words; word++)
        {
            bitmap[word] |= _bitmap[word];
        }
    }

    private void Set(GuestMemoryRegion region, uint slot, ulong size)
    {
        ulong at = region.Base!.Value.Value;
        var description = new kvm_userspace_memory_region
        {
            slot = slot,
            guest_phys_addr = at,
            memory_size = size,
            userspace_addr = (ulong)(memory.HostBase + at),
            flags = (region.Kind == GuestMemoryKind.Rom ? KvmFlags.KVM_MEM_READONLY : 0)
                | (region.DirtyTracking ? KvmFlags.KVM_MEM_LOG_DIRTY_PAGES : 0),
        };
        KvmCalls.Require(vm.Number, KvmRequests.KVM_SET_USER_MEMORY_REGION, &description, nameof(KvmRequests.KVM_SET_USER_MEMORY_REGION));
    }
}
