using WebVm.Vmm.Cpu.Soft.Context;
using WebVm.Vmm.Cpu.Soft.Paging;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Vcpu;

/// <content>Translations that are no longer so, because the memory map changed: noted by whoever changed it, dropped by the vCPU's own thread.</content>
internal sealed unsafe partial class SoftVcpu
{
    private readonly Lock _staleLock = new();
    private readonly StaleRange[] _stale = new StaleRange[16];

    /// <summary>How many there are; beyond the array, everything is stale.</summary>
    private int _staleCount;

    /// <summary>Notes what a change made stale and asks for it to be dropped. On the vCPU's own thread, which it left to call a device, it is dropped.</summary>
    public void AskToDrop(MapChange change)
    {
        lock (_staleLock)
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

        if (Current == this)
        {
            DropStale();
        }
        else
        {
            Request(CpuRequests.DropTranslations);
        }
    }

    /// <summary>After a barrier of all processors: returns when the vCPU uses nothing of what it was asked to drop.</summary>
    public void WaitUntilDropped()
    {
        var wait = default(SpinWait);
        while (Volatile.Read(ref _cpu->InGuest) != 0 && (Volatile.Read(ref _cpu->Requests) & (int)CpuRequests.DropTranslations) != 0)
        {
            wait.SpinOnce();
        }
    }

    private void DropStale()
    {
        lock (_staleLock)
        {
            if (_staleCount > _stale.Length)
            {
                Tlb.FlushAll(_cpu);
            }
            else
            {
                Tlb.Drop(_cpu, _stale.AsSpan(0, _staleCount));
            }

            _staleCount = 0;
        }
    }

    private void Note(in StaleRange range)
    {
        if (_staleCount < _stale.Length)
        {
            _stale[_staleCount] = range;
        }

        _staleCount = Math.Min(_staleCount + 1, _stale.Length + 1);
    }
}
