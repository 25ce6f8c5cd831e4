using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Cpu.Kvm;

/// <summary>
/// Makes the paravirtual clock of KVM equal to VM time: whenever VM time starts to run (power-on, resume, restore), the kernel's
/// clock is set to it, so that a guest sees neither the pause nor the time on disk, unless VM time has caught them up. The time stamp
/// counters stop, go and jump with it.
/// </summary>
internal sealed unsafe class KvmClock : IDisposable
{
    private readonly FileDescriptor _vm;
    private readonly VirtualClock _clock;
    private readonly List<KvmVcpu> _vcpus;
    private bool _running;
    private long _caughtUp;

    public KvmClock(FileDescriptor vm, VirtualClock clock, List<KvmVcpu> vcpus)
    {
        _vm = vm;
        _clock = clock;
        _vcpus = vcpus;
        clock.Changed += OnChanged;
        OnChanged();
    }

    public bool Runs => _running;

    /// <summary>The guest's paravirtual clock, in nanoseconds.</summary>
    public ulong Read()
    {
        kvm_clock_data data;
        KvmCalls.Require(_vm.Number, KvmRequests.KVM_GET_CLOCK, &data, nameof(KvmRequests.KVM_GET_CLOCK));
        return data.clock;
    }

    public void Dispose() => _clock.Changed -= OnChanged;

    private void OnChanged()
    {
        bool running = _clock.Running;
        if (running == _running)
        {
            return;
        }

        _running = running;
        if (running)
        {
            long skipped = _clock.CaughtUp - _caughtUp;
            _caughtUp += skipped;
            ForEach((vcpu, host) => vcpu.TimeStamp.Thaw(host, skipped));
            var data = new kvm_clock_data { clock = (ulong)Math.Max(0, _clock.Now) };
            KvmCalls.Require(_vm.Number, KvmRequests.KVM_SET_CLOCK, &data, nameof(KvmRequests.KVM_SET_CLOCK));
            if (skipped > 0)
            {
                // For a machine that was restored it is the first word of it.
                TellGuests();
            }

            return;
        }

        ForEach(static (vcpu, host) => vcpu.TimeStamp.Freeze(host));
        TellGuests();
    }

    private void ForEach(Action<KvmVcpu, ulong> action)
    {
        lock (_vcpus)
        {
            if (_vcpus.Count > 0)
            {
                ulong host = _vcpus[0].TimeStamp.HostCounter();
                _vcpus.ForEach(vcpu => action(vcpu, host));
            }
        }
    }

    private void TellGuests()
    {
        // Tells a guest with a running clock that it was stopped, so that its watchdogs do not take the gap for a lockup.
        lock (_vcpus)
        {
            foreach (var vcpu in _vcpus)
            {
                _ = KvmCalls.Control(vcpu.Descriptor.Number, KvmRequests.KVM_KVMCLOCK_CTRL, (nuint)0);
            }
        }
    }
}
