using System.Buffers.Text;
using System.Diagnostics;
using Microsoft.Win32.SafeHandles;
using Tmds.Linux;
using WebVm.Vmm.Host.Native;

namespace WebVm.Vmm.Host;

/// <summary>
/// How long a thread was ready and did not run: as the kernel's scheduler counts it, or where a process is shown no /proc, the time that is
/// left when the thread's processor time and its own waits are taken off. Used on that thread alone; no allocation.
/// </summary>
internal sealed class ThreadRunDelay : IDisposable
{
    private readonly bool _byClocks;
    private SafeFileHandle? _statistics;
    private int _thread;
    private ulong _last;
    private long _lastTime;
    private long _lastUsed;
    private long _waited;

    /// <param name="byClocks">As if there were no /proc.</param>
    public ThreadRunDelay(bool byClocks = false) => _byClocks = byClocks;

    /// <summary>Nanoseconds that the calling thread has waited for a processor since the last call; 0 at the first.</summary>
    public ulong Advance()
    {
        ulong before = _last;
        bool first = _thread != Environment.CurrentManagedThreadId;
        if (first)
        {
            // Who runs the vCPU may change; then counting begins anew.
            _statistics?.Dispose();
            _thread = Environment.CurrentManagedThreadId;
            _statistics = _byClocks ? null : Open();
            Restart();
        }

        if (_statistics is null)
        {
            return AdvanceByClocks();
        }

        _last = Read();
        ulong delay = _last - before;
        return first || delay > long.MaxValue ? 0 : delay;
    }

    /// <summary>The thread waited for something else than a processor for so many nanoseconds.</summary>
    public void Waited(long nanoseconds) => _waited += nanoseconds;

    /// <summary>The thread did other things since the last call, which do not count.</summary>
    public void Restart() => (_lastTime, _lastUsed, _waited) = (Stopwatch.GetTimestamp(), Used(), 0);

    public void Dispose() => _statistics?.Dispose();

    private ulong AdvanceByClocks()
    {
        var (time, used, waited) = (_lastTime, _lastUsed, _waited);
        Restart();
        // The clocks are read one after the other: what is less than nothing is nothing.
        return (ulong)Math.Max(0, _lastTime - time - (_lastUsed - used) - waited);
    }

    /// <summary>Nanoseconds of processor time of the calling thread.</summary>
    private static unsafe long Used()
    {
        timespec used;
        return EventCalls.GetTime(EventCalls.CLOCK_THREAD_CPUTIME_ID, &used) == 0 ? ((long)used.tv_sec * 1_000_000_000) + used.tv_nsec : 0;
    }

    /// <summary>Second field of schedstat (proc(5)).</summary>
    private ulong Read()
    {
        Span<byte> text = stackalloc byte[96];
        int length = RandomAccess.Read(_statistics!, text, 0);
        var rest = text[..length];
        int space = rest.IndexOf((byte)' ');
        return space >= 0 && Utf8Parser.TryParse(rest[(space + 1)..], out ulong delay, out _) ? delay : 0;
    }

    private static SafeFileHandle? Open()
    {
        if (HandedFiles.OfProcess.Confined)
        {
            return null;
        }

        try
        {
            return File.OpenHandle("/proc/thread-self/schedstat");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // A kernel without schedstats.
            return null;
        }
    }
}
