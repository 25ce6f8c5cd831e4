using System.Buffers.Text;
using Microsoft.Win32.SafeHandles;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Cpu.Soft.Paravirtualization;

/// <summary>
/// Tells the guest how long its vCPU's thread was ready and did not run (KVM's MSR_KVM_STEAL_TIME): the scheduler's own count of the
/// thread. Used on that thread alone.
/// </summary>
internal sealed class StealTime : IDisposable
{
    /// <summary>struct kvm_steal_time: steal, version.</summary>
    private const int VersionOffset = 8;

    private SafeFileHandle? _statistics;
    private int _thread;
    private ulong _lastDelay;

    /// <summary>Adds what was stolen since the last call to the guest's structure.</summary>
    public void Update(GuestMemory memory, GuestPhysicalAddress structure)
    {
        ulong delay = RunDelay(out bool first);
        ulong stolen = delay - _lastDelay;
        _lastDelay = delay;
        if (first || stolen == 0 || stolen > long.MaxValue || !memory.TryRead(structure, out ulong steal)
            || !memory.TryRead(structure + VersionOffset, out uint version))
        {
            return;
        }

        // An odd version tells readers to wait.
        version |= 1;
        memory.TryWrite(structure + VersionOffset, version);
        memory.TryWrite(structure, steal + stolen);
        memory.TryWrite(structure + VersionOffset, version + 1);
    }

    public void Dispose() => _statistics?.Dispose();

    /// <summary>Nanoseconds that the calling thread has waited for a processor: second field of schedstat (proc(5)).</summary>
    private ulong RunDelay(out bool first)
    {
        first = false;
        if (_statistics is null || _thread != Environment.CurrentManagedThreadId)
        {
            // Who runs the vCPU may change; then counting begins anew.
            first = true;
            _statistics?.Dispose();
            _thread = Environment.CurrentManagedThreadId;
            _statistics = Open();
        }

        Span<byte> text = stackalloc byte[96];
        if (_statistics is null || _statistics.IsInvalid)
        {
            return 0;
        }

        int length = RandomAccess.Read(_statistics, text, 0);
        var rest = text[..length];
        int space = rest.IndexOf((byte)' ');
        return space >= 0 && Utf8Parser.TryParse(rest[(space + 1)..], out ulong delay, out _) ? delay : 0;
    }

    private static SafeFileHandle? Open()
    {
        try
        {
            return File.OpenHandle("/proc/thread-self/schedstat");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // A kernel without schedstats: nothing is known to be stolen.
            return null;
        }
    }
}
