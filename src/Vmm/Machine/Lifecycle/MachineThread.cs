using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Machine.Lifecycle;

/// <summary>
/// The thread on which everything happens that concerns a machine as a whole. Transitions run one after the other, first come, first
/// served; while one waits, what is short goes on: questions, events, what devices note. Nothing of it runs on a vCPU's thread.
/// </summary>
/// <remarks>
/// What a transition awaits comes back to this thread, and does not come back once the thread has ended. The last transition of a machine
/// does not queue: it cancels what the active one waits for and is next.
/// </remarks>
internal sealed class MachineThread : IDeviceThread, IDisposable
{
    private readonly object _gate = new();
    private readonly Queue<Action> _work = new();
    private readonly LinkedList<Transition> _transitions = new();
    private readonly TimeSpan _patience;
    private readonly Thread _thread;
    private Transition? _active;
    private bool _ending;
    private bool _gone;

    /// <param name="patience">How long the end waits for a transition that does not heed its cancellation. It is left behind then.</param>
    public MachineThread(string name, TimeSpan patience)
    {
        _patience = patience;
        _thread = new Thread(Loop) { Name = name, IsBackground = true };
        _thread.Start();
    }

    /// <summary>A transition was left behind at the end, and may still be at work.</summary>
    public bool HasLeftSomething => Volatile.Read(ref _gone) && _active is not null;

    /// <summary>Queues short work. It must not throw; nothing is queued once the thread is ending.</summary>
    public void Post(Action work)
    {
        lock (_gate)
        {
            if (!_ending)
            {
                Enqueue(work);
            }
        }
    }

    /// <summary>Queues short work whose result or exception the caller awaits.</summary>
    public Task<T> Run<T>(Func<T> work)
    {
        var completion = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate)
        {
            if (_ending)
            {
                return Task.FromException<T>(Gone());
            }

            Enqueue(() =>
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
        }

        return completion.Task;
    }

    /// <summary>Queues a transition, which begins when those before it have ended.</summary>
    /// <param name="transition">Is handed a token that is cancelled when the machine is to end.</param>
    /// <param name="last">It does not queue, and is not cancelled.</param>
    public Task<T> RunTransition<T>(Func<CancellationToken, Task<T>> transition, bool last = false)
    {
        var queued = new Transition<T>(transition, last);
        lock (_gate)
        {
            if (_ending)
            {
                return Task.FromException<T>(Gone());
            }

            if (last)
            {
                // Behind others of its kind: the first end counts.
                var others = _transitions.First;
                while (others is { Value.IsLast: true })
                {
                    others = others.Next;
                }

                _ = others is null ? _transitions.AddLast(queued) : _transitions.AddBefore(others, queued);
                Enqueue(CancelActive);
            }
            else
            {
                _transitions.AddLast(queued);
                Monitor.Pulse(_gate);
            }
        }

        return queued.Completion;
    }

    public Task RunTransition(Func<CancellationToken, Task> transition) => RunTransition(async ending =>
    {
        await transition(ending);
        return true;
    });

    /// <summary>Finishes what is queued, tells the active transition to end, and ends the thread.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (!_ending)
            {
                Enqueue(CancelActive);
                _ending = true;
            }
        }

        if (Thread.CurrentThread != _thread)
        {
            _thread.Join();
        }
    }

    private static MachineStateException Gone() => new("the machine is gone");

    private void Enqueue(Action work)
    {
        _work.Enqueue(work);
        Monitor.Pulse(_gate);
    }

    private void CancelActive() => _active?.Cancel();

    private void Loop()
    {
        SynchronizationContext.SetSynchronizationContext(new Context(this));
        while (Next() is { } work)
        {
            work();
        }
    }

    /// <summary>What to do next: short work, or the beginning of a transition. Null for nothing any more.</summary>
    private Action? Next()
    {
        lock (_gate)
        {
            long endAt = long.MaxValue;
            while (true)
            {
                if (_work.TryDequeue(out var work))
                {
                    return work;
                }

                if (_active is null && _transitions.First is { Value: var next })
                {
                    _transitions.RemoveFirst();
                    _active = next;
                    if (_ending)
                    {
                        // What begins after the end was asked for has not heard of it.
                        next.Cancel();
                    }

                    return () => _ = Run(next);
                }

                if (!_ending)
                {
                    Monitor.Wait(_gate);
                    continue;
                }

                long now = Environment.TickCount64;
                endAt = Math.Min(endAt, now + (long)_patience.TotalMilliseconds);
                if (_active is null || now >= endAt)
                {
                    _gone = true;
                    _active?.Abandon(Gone());
                    foreach (var waiting in _transitions)
                    {
                        waiting.Abandon(Gone());
                    }

                    return null;
                }

                Monitor.Wait(_gate, (int)(endAt - now));
            }
        }
    }

    private async Task Run(Transition transition)
    {
        await transition.Run();
        // On this thread again, where no work is done at the same time.
        _active = null;
        transition.Dispose();
    }

    private void Resume(SendOrPostCallback callback, object? state)
    {
        lock (_gate)
        {
            if (!_gone)
            {
                Enqueue(() => callback(state));
            }
        }
    }

    private abstract class Transition(bool last) : IDisposable
    {
        private readonly CancellationTokenSource _ending = new();

        public bool IsLast => last;

        protected CancellationToken Ending => _ending.Token;

        public abstract Task Run();

        public abstract void Abandon(Exception why);

        public void Dispose() => _ending.Dispose();

        public void Cancel()
        {
            if (!last)
            {
                // Elsewhere: what waits for it may take its time.
                _ = _ending.CancelAsync();
            }
        }
    }

    private sealed class Transition<T>(Func<CancellationToken, Task<T>> transition, bool last) : Transition(last)
    {
        private readonly TaskCompletionSource<T> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<T> Completion => _completion.Task;

        public override async Task Run()
        {
            try
            {
                _completion.TrySetResult(await transition(Ending));
            }
            catch (Exception failure)
            {
                _completion.TrySetException(failure);
            }
        }

        public override void Abandon(Exception why) => _completion.TrySetException(why);
    }

    /// <summary>Brings what a transition awaits back to the thread.</summary>
    private sealed class Context(MachineThread thread) : SynchronizationContext
    {
        public override void Post(SendOrPostCallback d, object? state) => thread.Resume(d, state);

        public override void Send(SendOrPostCallback d, object? state) =>
            throw new NotSupportedException("Nobody waits for the machine's thread.");

        public override SynchronizationContext CreateCopy() => this;
    }
}
