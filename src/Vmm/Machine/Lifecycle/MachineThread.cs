namespace WebVm.Vmm.Machine.Lifecycle;

/// <summary>
/// The thread on which everything happens that concerns a machine as a whole, one thing after the other: what a guest, a client
/// or the host asks for is queued here, so transitions never overlap and never run on a vCPU's thread.
/// </summary>
internal sealed class MachineThread : IDisposable
{
    private readonly object _gate = new();
    private readonly Queue<Action> _work = new();
    private readonly Thread _thread;
    private bool _end;

    public MachineThread(string name)
    {
        _thread = new Thread(Loop) { Name = name, IsBackground = true };
        _thread.Start();
    }

    /// <summary>Queues work. It must not throw; nothing is queued once the thread is ending.</summary>
    public void Post(Action work)
    {
        lock (_gate)
        {
            if (!_end)
            {
                _work.Enqueue(work);
                Monitor.Pulse(_gate);
            }
        }
    }

    /// <summary>Queues work whose result or exception the caller awaits.</summary>
    public Task<T> Run<T>(Func<T> work)
    {
        var completion = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate)
        {
            if (_end)
            {
                return Task.FromException<T>(new MachineStateException("the machine is gone"));
            }

            _work.Enqueue(() =>
            {
                try
                {
                    completion.SetResult(work());
                }
                catch (Exception failure)
                {
                    completion.SetException(failure);
                }
            });
            Monitor.Pulse(_gate);
        }

        return completion.Task;
    }

    /// <summary>Finishes what is queued and ends the thread.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _end = true;
            Monitor.Pulse(_gate);
        }

        if (Thread.CurrentThread != _thread)
        {
            _thread.Join();
        }
    }

    private void Loop()
    {
        while (true)
        {
            Action? work;
            lock (_gate)
            {
                while (_work.Count == 0 && !_end)
                {
                    Monitor.Wait(_gate);
                }

                if (!_work.TryDequeue(out work))
                {
                    return;
                }
            }

            work();
        }
    }
}
