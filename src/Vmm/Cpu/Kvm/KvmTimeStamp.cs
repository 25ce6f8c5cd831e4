using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Cpu.Kvm;

/// <summary>
/// One vCPU's time stamp counter, which has to stand still while VM time does. KVM's never stops, so its distance from the host's is set
/// anew when time goes on: for all vCPUs by one reading of the host's counter, or they would drift apart with every pause.
/// </summary>
internal sealed unsafe class KvmTimeStamp
{
    private readonly int _vcpu;
    private readonly KvmVcpuState _state;
    private readonly bool _hasOffset;
    private ulong? _frozen;

    public KvmTimeStamp(int vcpu, KvmVcpuState state)
    {
        _vcpu = vcpu;
        _state = state;
        var attribute = Attribute(null);
        _hasOffset = KvmCalls.Control(vcpu, KvmRequests.KVM_HAS_DEVICE_ATTR, &attribute) == 0;
    }

    /// <summary>The counter's value while it stands still; null while it runs.</summary>
    public ulong? Frozen
    {
        get => _frozen;
        set => _frozen = value;
    }

    /// <summary>Frequency in kHz; 0 when KVM does not say.</summary>
    public uint Kilohertz => (uint)Math.Max(0, KvmCalls.Control(_vcpu, KvmRequests.KVM_GET_TSC_KHZ, (nuint)0));

    /// <summary>
    /// Lets the counter run at another frequency, as a guest from another host or engine expects. Where the processor cannot scale it
    /// (KVM_CAP_TSC_CONTROL) it goes on at the host's, and only guests on the paravirtual clock keep exact time.
    /// </summary>
    public bool TrySetFrequency(uint kilohertz) => KvmCalls.Control(_vcpu, KvmRequests.KVM_SET_TSC_KHZ, (nuint)kilohertz) == 0;

    /// <summary>What the host's counter shows now, in this vCPU's ticks.</summary>
    public ulong HostCounter() => Read() - (_hasOffset ? Offset() : 0);

    public void Freeze(ulong hostCounter) => _frozen = _hasOffset ? hostCounter + Offset() : Read();

    /// <summary>Goes on from where it stood.</summary>
    /// <param name="skipped">Nanoseconds by which it goes on from later, as VM time does.</param>
    public void Thaw(ulong hostCounter, long skipped = 0)
    {
        if (_frozen is not { } value)
        {
            return;
        }

        _frozen = null;
        value += (ulong)((UInt128)(ulong)skipped * Kilohertz / 1_000_000);

        // KVM turned the deadline into host time when it was set; it has to do so again.
        bool armed = _state.TryReadMsr(KvmMsrs.TscDeadline, out ulong deadline) && deadline != 0;
        if (_hasOffset)
        {
            ulong offset = value - hostCounter;
            var attribute = Attribute(&offset);
            KvmCalls.Require(_vcpu, KvmRequests.KVM_SET_DEVICE_ATTR, &attribute, nameof(KvmRequests.KVM_SET_DEVICE_ATTR));
        }
        else
        {
            _ = _state.TryWriteMsr(KvmMsrs.Tsc, value);
        }

        if (armed)
        {
            _ = _state.TryWriteMsr(KvmMsrs.TscDeadline, deadline);
        }
    }

    private ulong Read() => _state.TryReadMsr(KvmMsrs.Tsc, out ulong value) ? value : 0;

    private ulong Offset()
    {
        ulong offset;
        var attribute = Attribute(&offset);
        KvmCalls.Require(_vcpu, KvmRequests.KVM_GET_DEVICE_ATTR, &attribute, nameof(KvmRequests.KVM_GET_DEVICE_ATTR));
        return offset;
    }

    private static kvm_device_attr Attribute(ulong* value) =>
        new() { group = KvmFlags.KVM_VCPU_TSC_CTRL, attr = KvmFlags.KVM_VCPU_TSC_OFFSET, addr = (ulong)value };
}
