using WebVm.Vmm.Confinement;
using System.Runtime.ExceptionServices;
using WebVm.Vmm.Cpu;

namespace WebVm.Vmm.Machine.Lifecycle;

/// <summary>
/// The one OS thread of a vCPU, from its creation to its end. It runs guest code while told to, and is parked otherwise; calls that
/// only the vCPU's thread may make are handed to it while it is parked.
/// </summary>
internal sealed class VcpuThread : IDisposable
{
    private enum Order
    {
        Run,
        Call,
        End,
    }

    private static readonly TimeSpan s_endLimit = TimeSpan.FromSeconds(10);

    private readonly object _gate = new();
    private readonly IVirtualCpu _cpu;
    private readonly Action<IVirtualCpu, VcpuExit, string?> _whenEnded;
    private readonly Thread _thread;
    private bool _run;
    private bool _end;
    private bool _parked;

    /// <summary>The vCPU came back by itself and cannot go on.</summary>
    private bool _ended;
    private Action<IVirtualCpu>? _call;
    private Exception? _callFailure;

    /// <param name="ended">Called on the vCPU's thread when it cannot go on by itself, with a reason if there is one; the thread parks
    /// after that.</param>
    public VcpuThread(IVirtualCpu cpu, Action<IVirtualCpu, VcpuExit, string?> ended)
    {
        _cpu = cpu;
        _whenEnded = ended;
        // Translated guest stacks are not on it; the interpreter's own depth is bounded.
        _thread = new Thread(Loop, maxStackSize: 1 << 20) { Name = $"vcpu{cpu.Index}", IsBackground = true };
        _thread.Start();
    }

    public IVirtualCpu Cpu => _cpu;

    /// <summary>Whether nothing uses the vCPU any more.</summary>
    public bool HasEnded => !_thread.IsAlive;

    /// <summary>Lets the guest's code run.</summary>
    public void Run()
    {
        lock (_gate)
        {
            _run = true;
            _ended = false;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Asks the thread to park, without waiting.</summary>
    public void RequestPark()
    {
        lock (_gate)
        {
            _run = false;
        }

        _cpu.Kick();
    }

    /// <summary>Waits until the thread is parked, after <see cref="RequestPark"/>.</summary>
    /// <returns>False if that took longer than <paramref name="limit"/>.</returns>
    public bool WaitParked(TimeSpan limit)
    {
        long deadline = Environment.TickCount64 + (long)limit.TotalMilliseconds;
        lock (_gate)
        {
            while (!_parked)
            {
                int left = (int)Math.Max(0, deadline - Environment.TickCount64);
                if (left == 0)
                {
                    return false;
                }

                // A kick that came just before Run started is kept by the vCPU; kicking again costs nothing and forgives an engine that
                // lost one.
                if (!Monitor.Wait(_gate, Math.Min(left, 100)))
                {
                    _cpu.Kick();
                }
            }

            return true;
        }
    }

    /// <summary>Runs <paramref name="call"/> on the vCPU's (parked) thread and waits for it.</summary>
    public void Invoke(Action<IVirtualCpu> call)
    {
        lock (_gate)
        {
            if (!_parked || _end)
            {
                throw new InvalidOperationException($"vCPU {_cpu.Index} is not parked.");
            }

            _call = call;
            _callFailure = null;
            Monitor.PulseAll(_gate);
            while (_call is not null)
            {
                Monitor.Wait(_gate);
            }

            if (_callFailure is { } failure)
            {
                ExceptionDispatchInfo.Throw(failure);
            }
        }
    }

    /// <summary>
    /// Makes a call like <see cref="Invoke"/> between two stretches of guest code, if the vCPU runs; what else moves goes on meanwhile.
    /// </summary>
    /// <returns>False if the guest's code was not left within <paramref name="limit"/>.</returns>
    public bool TryVisit(Action<IVirtualCpu> call, TimeSpan limit)
    {
        bool wasRunning;
        lock (_gate)
        {
            wasRunning = _run;
        }

        RequestPark();
        try
        {
            if (!WaitParked(limit))
            {
                return false;
            }

            Invoke(call);
            return true;
        }
        finally
        {
            if (wasRunning && !_ended)
            {
                Run();
            }
        }
    }

    /// <summary>Ends the thread. The vCPU itself stays until its engine ends: devices and viewers may still reach for it.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _end = true;
            _run = false;
            Monitor.PulseAll(_gate);
        }

        _cpu.Kick();
        _thread.Join(s_endLimit);
    }

    private void Loop()
    {
        InnerWall.Narrow(ThreadRole.Vcpu);
        while (true)
        {
            switch (AwaitOrder())
            {
                case Order.End:
                    return;
                case Order.Call:
                    MakeCall();
                    break;
                default:
                    RunGuest();
                    break;
            }
        }
    }

    private Order AwaitOrder()
    {
        lock (_gate)
        {
            while (!_end && _call is null && !_run)
            {
                _parked = true;
                Monitor.PulseAll(_gate);
                Monitor.Wait(_gate);
            }

            if (_end)
            {
                _parked = true;
                Monitor.PulseAll(_gate);
                return Order.End;
            }

            if (_call is not null)
            {
                return Order.Call;
            }

            _parked = false;
            return Order.Run;
        }
    }

    private void MakeCall()
    {
        try
        {
            _call!(_cpu);
        }
        catch (Exception failure)
        {
            _callFailure = failure;
        }

        lock (_gate)
        {
            _call = null;
            Monitor.PulseAll(_gate);
        }
    }

    private void RunGuest()
    {
        VcpuExit exit;
        try
        {
            exit = _cpu.Run();
        }
        catch (Exception defect)
        {
            // A defect of the engine ends this machine, never the process without a word.
            Park();
            _whenEnded(_cpu, VcpuExit.HostFailure, $"the engine failed: {defect}");
            return;
        }

        switch (exit)
        {
            case VcpuExit.Kicked:
                break;
            case VcpuExit.DeadlineReached:
                _cpu.Deadline = 0;
                break;
            default:
                Park();
                _whenEnded(_cpu, exit, _cpu.Failure);
                break;
        }
    }

    private void Park()
    {
        lock (_gate)
        {
            _run = false;
            _ended = true;
        }
    }
}
