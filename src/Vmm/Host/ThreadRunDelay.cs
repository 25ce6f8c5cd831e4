using System.Buffers.Text;
using Microsoft.Win32.SafeHandles;

namespace WebVm.Vmm.Host;

/// <summary>How long a thread was ready and did not run, as the kernel's scheduler counts it. Used on that thread alone; no allocation.</summary>
internal sealed class ThreadRunDelay : IDisposable
{
    private SafeFileHandle? _statistics;
    private int _thread;
    private ulong _last;

    /// <summary>Nanoseconds that the calling thread has waited for a processor since the last call; 0 at the first, and where the kernel does not tell.</summary>
    public ulong Advance()
    {
        ulong before = _last;
        bool first = _statistics is null || _thread != Environment.CurrentManagedThreadId;
        if (first)
        {
            // Who runs the vCPU may change; then counting begins anew.
            _statistics?.Dispose();
            _thread = Environment.CurrentManagedThreadId;
            _statistics = Open();
        }

        _last = Read();
        ulong delay = _last - before;
        return first || delay > long.MaxValue ? 0 : delay;
    }

    public void Dispose() => _statistics?.Dispose();

    /// <summary>Second field of schedstat (proc(5)).</summary>
    private ulong Read()
    {
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
