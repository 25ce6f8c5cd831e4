using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Paging;

/// <summary>
/// Translations that are no longer so, because the memory map changed: noted by whoever changed it, dropped by the processor's own thread.
/// </summary>
internal sealed unsafe class StaleTranslations(Tlb tlb)
{
    private readonly Lock _lock = new();
    private readonly StaleRange[] _ranges = new StaleRange[16];

    /// <summary>How many there are; beyond the array, everything is stale.</summary>
    private int _count;

    /// <summary>Notes what a change made stale, on any thread.</summary>
    public void Note(MapChange change)
    {
        lock (_lock)
        {
            Note(StaleRange.OfGuest(change.At, change.Size));
            foreach (var mapping in change.Removed)
            {
                if (mapping.Overlaps(change.At, change.Size))
                {
                    var gone = mapping.Within(change.At, change.Size);
                    Note(StaleRange.OfSystem(gone.System, gone.Size));
                }
            }
        }
    }

    /// <summary>Drops what was noted, on the processor's own thread.</summary>
    public void Drop(CpuContext* cpu)
    {
        lock (_lock)
        {
            if (_count > _ranges.Length)
            {
                tlb.FlushAll(cpu);
            }
            else
            {
                tlb.Drop(cpu, _ranges.AsSpan(0, _count));
            }

            _count = 0;
        }
    }

    private void Note(in StaleRange range)
    {
        if (_count < _ranges.Length)
        {
            _ranges[_count] = range;
        }

        _count = Math.Min(_count + 1, _ranges.Length + 1);
    }
}
