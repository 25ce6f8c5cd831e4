namespace WebVm.Vmm.Cpu.Kvm;

/// <summary>
/// What a machine's vCPUs pass on their way into guest code. Closed, it holds them outside for as long as something changes that KVM can
/// only change in steps which guest code must not see. The vCPUs whose access has led to the change are outside anyway.
/// </summary>
internal sealed class KvmGate(Func<KvmVcpu[]> vcpus)
{
    private readonly object _opened = new();
    private volatile bool _closed;

    public bool IsClosed => _closed;

    /// <summary>Returns when no vCPU is in guest code. One at a time.</summary>
    public void Close()
    {
        _closed = true;

        // A vCPU says that it goes in, then looks; it needs no fence of its own for that.
        Interlocked.MemoryBarrierProcessWide();
        var all = vcpus();
        foreach (var vcpu in all)
        {
            vcpu.CallOut();
        }

        foreach (var vcpu in all)
        {
            var wait = default(SpinWait);
            while (vcpu.IsInGuest)
            {
                wait.SpinOnce();
            }
        }
    }

    public void Open()
    {
        lock (_opened)
        {
            _closed = false;
            Monitor.PulseAll(_opened);
        }
    }

    /// <summary>Waits until the gate is open.</summary>
    public void Wait()
    {
        lock (_opened)
        {
            while (_closed)
            {
                Monitor.Wait(_opened);
            }
        }
    }
}
