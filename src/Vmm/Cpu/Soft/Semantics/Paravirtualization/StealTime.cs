using System.Runtime.InteropServices;
using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Semantics.Paravirtualization;

/// <summary>
/// Tells the guest how long its vCPU's thread was ready and did not run (KVM's MSR_KVM_STEAL_TIME): the scheduler's own count of the
/// thread. Used on that thread alone.
/// </summary>
internal sealed class StealTime : IDisposable
{
    private static readonly ulong VersionOffset = (ulong)Marshal.OffsetOf<kvm_steal_time>(nameof(kvm_steal_time.version));
    private static readonly ulong PreemptedOffset = (ulong)Marshal.OffsetOf<kvm_steal_time>(nameof(kvm_steal_time.preempted));

    private readonly ThreadRunDelay _delay = new();

    /// <summary>Adds what was stolen since the last call to the guest's structure.</summary>
    public void Update(GuestMemory memory, GuestPhysicalAddress structure)
    {
        ulong stolen = _delay.Advance();
        if (stolen == 0 || !memory.TryRead(structure, out ulong steal) || !memory.TryRead(structure + VersionOffset, out uint version))
        {
            return;
        }

        // An odd version tells readers to wait.
        version |= 1;
        memory.TryWrite(structure + VersionOffset, version);
        memory.TryWrite(structure, steal + stolen);
        memory.TryWrite(structure + VersionOffset, version + 1);
    }

    /// <summary>The vCPU's thread waited of its own accord for so many nanoseconds: nothing was stolen.</summary>
    public void Waited(long nanoseconds) => _delay.Waited(nanoseconds);

    /// <summary>The vCPU stood still until now: nothing was stolen.</summary>
    public void Restart() => _delay.Restart();

    /// <summary>
    /// Tells other vCPUs of the guest whether this one runs, so that they do not wait for what it holds, or do without its answer.
    /// </summary>
    public static void MarkPreempted(GuestMemory memory, GuestPhysicalAddress structure, bool preempted) =>
        memory.TryWrite(structure + PreemptedOffset, preempted ? (byte)KvmParavirtual.KVM_VCPU_PREEMPTED : (byte)0);

    public void Dispose() => _delay.Dispose();
}
