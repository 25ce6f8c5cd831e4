namespace WebVm.Vmm.Time;

/// <summary>
/// Timers in host time, which run whether the VM's clock does or not: for bounds that the monitor sets its vCPUs. Their thread
/// starts with the first of them. Callbacks do next to nothing: they run before all ordinary threads, where the host lets them.
/// </summary>
/// <param name="begun">Called on the thread before all else.</param>
internal sealed class HostTimers(Action? begun = null) : IDisposable
{
    private readonly Lock _lock = new();
    private TimerService? _service;
    private bool _disposed;

    /// <summary>A timer whose deadlines are Stopwatch ticks (nanoseconds of CLOCK_MONOTONIC).</summary>
    public IVirtualTimer CreateTimer(Action expired)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            _service ??= new TimerService(VirtualClock.OfHost(), "deadlines", urgent: true, begun);
            return _service.CreateTimer(expired);
        }
    }

    public void Dispose()
    {
        TimerService? service;
        lock (_lock)
        {
            _disposed = true;
            service = _service;
        }

        service?.Dispose();
    }
}
