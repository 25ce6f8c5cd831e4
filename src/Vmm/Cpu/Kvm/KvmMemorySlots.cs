using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Kvm;

/// <summary>Keeps KVM's memory slots equal to the guest's memory map, a slot per mapping. Called under the memory map's lock.</summary>
internal sealed unsafe class KvmMemorySlots(FileDescriptor vm, GuestMemory memory, KvmGate gate) : IMemoryListener
{
    private readonly Dictionary<GuestMapping, uint> _slots = [];
    private readonly SortedSet<uint> _free = [];

    /// <summary>Pages of regions that were written to in mappings which are no more, and have not been told yet.</summary>
    private readonly Dictionary<GuestMemoryRegion, ulong[]> _late = [];
    private uint _next;
    private ulong[] _bitmap = [];

    // The kernel reaches memory by itself, and userfaultfd tells an unprivileged process of user code's faults only.
    public bool SeesAbsentPages => false;

    public void MapChanged(MapChange change)
    {
        // A slot can only be deleted and made anew: guest code that ran between the two would miss what it was executing.
        // A log goes with its slot, so nothing may be written between its reading and the deletion.
        bool hold = change.Removed.Count > 0 && (change.Added.Count > 0 || change.Removed.Any(mapping => mapping.Region.IsWatched));
        if (hold)
        {
            gate.Close();
        }

        foreach (var mapping in change.Removed)
        {
            if (_slots.Remove(mapping, out uint slot))
            {
                if (mapping.Region.IsWatched)
                {
                    Collect(mapping, slot, Late(mapping.Region));
                }

                // KVM has no translation of the slot left, in any vCPU, when this returns.
                Set(mapping, slot, 0);
                _free.Add(slot);
            }
        }

        foreach (var mapping in change.Added)
        {
            uint slot = Take();
            _slots.Add(mapping, slot);
            Set(mapping, slot, mapping.Size);
        }

        if (hold)
        {
            gate.Open();
        }
    }

    public void DirtyTrackingChanged(GuestMemoryRegion region)
    {
        _late.Remove(region);
        foreach (var (mapping, slot) in _slots)
        {
            if (mapping.Region == region)
            {
                Set(mapping, slot, mapping.Size);
            }
        }
    }

    public void CollectDirty(GuestMemoryRegion region, Span<ulong> bitmap)
    {
        if (_late.Remove(region, out ulong[]? late))
        {
            for (int word = 0; word < late.Length; word++)
            {
                bitmap[word] |= late[word];
            }
        }

        foreach (var (mapping, slot) in _slots)
        {
            if (mapping.Region == region)
            {
                Collect(mapping, slot, bitmap);
            }
        }
    }

    private ulong[] Late(GuestMemoryRegion region)
    {
        if (!_late.TryGetValue(region, out ulong[]? late))
        {
            _late.Add(region, late = new ulong[(region.PageCount + 63) / 64]);
        }

        return late;
    }

    private uint Take()
    {
        if (_free.Count == 0)
        {
            return _next++;
        }

        uint slot = _free.Min;
        _free.Remove(slot);
        return slot;
    }

    /// <summary>Adds what KVM's log of one mapping has to the bits of its region.</summary>
    private void Collect(in GuestMapping mapping, uint slot, Span<ulong> bitmap)
    {
        int words = (int)(((mapping.Size >> GuestPhysicalAddress.PageShift) + 63) / 64);
        if (_bitmap.Length < words)
        {
            _bitmap = new ulong[words];
        }

        fixed (ulong* bits = _bitmap)
        {
            var log = new kvm_dirty_log { slot = slot, dirty_bitmap = bits };
            KvmCalls.Require(vm.Number, KvmRequests.KVM_GET_DIRTY_LOG, &log, nameof(KvmRequests.KVM_GET_DIRTY_LOG));
        }

        int first = (int)(mapping.Offset >> GuestPhysicalAddress.PageShift);
        int shift = first & 63;
        for (int word = 0; word < words; word++)
        {
            ulong bits = _bitmap[word];
            int target = (first >> 6) + word;
            bitmap[target] |= bits << shift;
            if (shift != 0 && bits >> (64 - shift) is var rest and not 0)
            {
                bitmap[target + 1] |= rest;
            }
        }
    }

    private void Set(in GuestMapping mapping, uint slot, ulong size)
    {
        var description = new kvm_userspace_memory_region
        {
            slot = slot,
            guest_phys_addr = mapping.At.Value,
            memory_size = size,
            userspace_addr = (ulong)memory.Host(mapping.System),
            flags = (mapping.Kind == BackingKind.Memory ? 0 : KvmFlags.KVM_MEM_READONLY)
                | (mapping.Region.IsWatched ? KvmFlags.KVM_MEM_LOG_DIRTY_PAGES : 0),
        };
        KvmCalls.Require(vm.Number, KvmRequests.KVM_SET_USER_MEMORY_REGION, &description, nameof(KvmRequests.KVM_SET_USER_MEMORY_REGION));
    }
}
