using WebVm.Vmm.Cpu.Soft.Vcpu;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft;

/// <summary>
/// Has processors drop translations of pages whose meaning changed, while they run, and waits until none uses them any more.
/// </summary>
internal sealed class TranslationDropper : IMemoryListener
{
    private readonly Lock _changing = new();
    private volatile SoftVcpu[] _vcpus = [];

    public bool SeesAbsentPages => true;

    public void Add(SoftVcpu vcpu)
    {
        lock (_changing)
        {
            _vcpus = [.. _vcpus, vcpu];
        }
    }

    public void Remove(SoftVcpu vcpu)
    {
        lock (_changing)
        {
            _vcpus = [.. _vcpus.Where(other => other != vcpu)];
        }
    }

    public void MapChanged(MapChange change)
    {
        var vcpus = _vcpus;
        foreach (var vcpu in vcpus)
        {
            vcpu.AskToDrop(change);
        }

        Interlocked.MemoryBarrierProcessWide();
        foreach (var vcpu in vcpus)
        {
            vcpu.WaitUntilDropped();
        }
    }

    public void CollectDirty(GuestMemoryRegion region, Span<ulong> bitmap)
    {
    }

    public void DirtyTrackingChanged(GuestMemoryRegion region)
    {
    }
}
