using WebVm.Vmm.Host;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Cpu.Probing;

/// <summary>/dev/kvm: what this host's KVM offers, and where VMs come from (Documentation/virt/kvm/api.rst §4).</summary>
internal sealed unsafe class KvmDevice : IDisposable
{
    private const string Path = "/dev/kvm";
    private const int MaxCpuidEntries = 256;
    private const int MaxMsrs = 2048;

    private readonly FileDescriptor _descriptor;

    private KvmDevice(FileDescriptor descriptor) => _descriptor = descriptor;

    public int ApiVersion { get; private init; }

    /// <summary>Bytes of a vCPU's kvm_run and the pages that follow it.</summary>
    public int RunSize { get; private init; }

    /// <summary>Opens the device; null, with the reason, where there is no usable KVM.</summary>
    public static KvmDevice? TryOpen(out string? reason)
    {
        if (HandedFiles.OfProcess.TryOpenDevice(HandedFiles.KvmName, Path, out reason) is not { } descriptor)
        {
            return null;
        }

        int number = descriptor.Number;
        int version = KvmCalls.Control(number, KvmRequests.KVM_GET_API_VERSION, (nuint)0);
        if (version != KvmRequests.KVM_API_VERSION)
        {
            descriptor.Dispose();
            reason = $"{Path} speaks API version {version}, not {KvmRequests.KVM_API_VERSION}";
            return null;
        }

        reason = null;
        return new KvmDevice(descriptor)
        {
            ApiVersion = version,
            RunSize = KvmCalls.Require(number, KvmRequests.KVM_GET_VCPU_MMAP_SIZE, (nuint)0, nameof(KvmRequests.KVM_GET_VCPU_MMAP_SIZE)),
        };
    }

    /// <exception cref="IOException">There is no usable KVM; the message says why.</exception>
    public static KvmDevice Open() => TryOpen(out string? reason) ?? throw new IOException(reason);

    /// <summary>0 when the capability is absent, else 1 or a number that belongs to it.</summary>
    public int Capability(int capability) =>
        Math.Max(0, KvmCalls.Control(_descriptor.Number, KvmRequests.KVM_CHECK_EXTENSION, (nuint)capability));

    public FileDescriptor CreateVm() =>
        new(KvmCalls.Require(_descriptor.Number, KvmRequests.KVM_CREATE_VM, (nuint)0, nameof(KvmRequests.KVM_CREATE_VM)));

    /// <summary>Every CPUID leaf that KVM can show a guest on this host.</summary>
    public kvm_cpuid_entry2[] SupportedCpuid()
    {
        byte[] buffer = new byte[sizeof(kvm_cpuid2) + (MaxCpuidEntries * sizeof(kvm_cpuid_entry2))];
        fixed (byte* start = buffer)
        {
            var list = (kvm_cpuid2*)start;
            list->nent = MaxCpuidEntries;
            KvmCalls.Require(_descriptor.Number, KvmRequests.KVM_GET_SUPPORTED_CPUID, list, nameof(KvmRequests.KVM_GET_SUPPORTED_CPUID));
            return new ReadOnlySpan<kvm_cpuid_entry2>(list + 1, (int)list->nent).ToArray();
        }
    }

    /// <summary>The MSRs that a guest's saved state consists of on this host.</summary>
    public uint[] SavedMsrs()
    {
        byte[] buffer = new byte[sizeof(kvm_msr_list) + (MaxMsrs * sizeof(uint))];
        fixed (byte* start = buffer)
        {
            var list = (kvm_msr_list*)start;
            list->nmsrs = MaxMsrs;
            KvmCalls.Require(_descriptor.Number, KvmRequests.KVM_GET_MSR_INDEX_LIST, list, nameof(KvmRequests.KVM_GET_MSR_INDEX_LIST));
            return new ReadOnlySpan<uint>(list + 1, (int)list->nmsrs).ToArray();
        }
    }

    public void Dispose() => _descriptor.Dispose();
}
