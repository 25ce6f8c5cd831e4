using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Cpu.Kvm;

/// <summary>Guest writes that only raise an eventfd, in the kernel, instead of an exit (KVM_IOEVENTFD): doorbells.</summary>
internal sealed unsafe class KvmIoEvents(FileDescriptor vm)
{
    /// <param name="size">Width of the write in bytes: 1, 2, 4 or 8; 0 for any.</param>
    /// <param name="match">Only writes of this value; null for any.</param>
    public void Connect(ulong address, bool port, int size, ulong? match, EventDescriptor target) =>
        Change(address, port, size, match, target, 0);

    /// <summary>Undoes <see cref="Connect"/>, with the same arguments.</summary>
    public void Disconnect(ulong address, bool port, int size, ulong? match, EventDescriptor target) =>
        Change(address, port, size, match, target, KvmFlags.KVM_IOEVENTFD_FLAG_DEASSIGN);

    private void Change(ulong address, bool port, int size, ulong? match, EventDescriptor target, uint flags)
    {
        var request = new kvm_ioeventfd
        {
            addr = address,
            len = (uint)size,
            fd = target.Descriptor.Number,
            datamatch = match ?? 0,
            flags = flags | (port ? KvmFlags.KVM_IOEVENTFD_FLAG_PIO : 0) | (match is null ? 0 : KvmFlags.KVM_IOEVENTFD_FLAG_DATAMATCH),
        };
        KvmCalls.Require(vm.Number, KvmRequests.KVM_IOEVENTFD, &request, nameof(KvmRequests.KVM_IOEVENTFD));
    }
}
