using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.State;

namespace WebVm.Vmm.Tests.Devices.Doubles;

/// <summary>Where guest and device meet: heads that the guest offers, in order, and those that it gets back, in any order.</summary>
internal sealed class QueueMemory
{
    public List<int> Offered { get; init; } = [];

    public List<int> Used { get; init; } = [];

    public QueueMemory Copy() => new() { Offered = [.. Offered], Used = [.. Used] };
}

/// <summary>Works at requests until a test has it complete one of them.</summary>
internal sealed class QueueBackend
{
    private readonly Dictionary<int, Action> _work = [];

    public IReadOnlyCollection<int> Heads => _work.Keys;

    public void Begin(int head, Action completed) => _work.Add(head, completed);

    public void Complete(params int[] heads)
    {
        foreach (int head in heads)
        {
            _work.Remove(head, out var completed);
            completed!();
        }
    }
}

/// <summary>
/// What a queue starts from and stops into. The heads in flight stand in it one by one: after completions out of order they do not follow
/// from the indices.
/// </summary>
internal sealed record QueueState(int NextOffered, int[] InFlight);

/// <summary>A device with one queue, and a back end that answers in any order.</summary>
internal sealed class QueueDevice(QueueMemory memory, QueueBackend backend) : IDevice, IDrainable, ISavedState<QueueState>
{
    private readonly Lock _lock = new();
    private readonly List<int> _inFlight = [];
    private TaskCompletionSource? _drained;
    private int _nextOffered;

    /// <summary>What the back end was given before the queue last let go of it does not count.</summary>
    private int _attachment;

    public string Name => "queue";

    public StateSchema<QueueState> Schema { get; } = new("test-queue", StateJson.Of<QueueState>());

    public void Reset()
    {
        lock (_lock)
        {
            _inFlight.Clear();
            _nextOffered = 0;
            _attachment++;
        }
    }

    public void Start()
    {
        lock (_lock)
        {
            bool attached = _drained is { Task.IsCompleted: false };
            _drained = null;
            if (!attached)
            {
                _inFlight.ForEach(Begin);
            }

            TakeOffers();
        }
    }

    public void Stop()
    {
        lock (_lock)
        {
            _drained = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            Settle();
        }
    }

    public async Task DrainAsync(CancellationToken giveUp)
    {
        var drained = _drained!;
        await using var letGo = giveUp.Register(() =>
        {
            lock (_lock)
            {
                _attachment++;
                drained.TrySetResult();
            }
        });
        await drained.Task;
    }

    /// <summary>The doorbell.</summary>
    public void Notify()
    {
        lock (_lock)
        {
            TakeOffers();
        }
    }

    public QueueState Save()
    {
        lock (_lock)
        {
            return new QueueState(_nextOffered, [.. _inFlight]);
        }
    }

    public void Load(QueueState state)
    {
        lock (_lock)
        {
            _nextOffered = state.NextOffered;
            _inFlight.Clear();
            _inFlight.AddRange(state.InFlight);
        }
    }

    private void TakeOffers()
    {
        while (_nextOffered < memory.Offered.Count)
        {
            int head = memory.Offered[_nextOffered++];
            _inFlight.Add(head);
            Begin(head);
        }
    }

    private void Begin(int head)
    {
        int attachment = _attachment;
        backend.Begin(head, () =>
        {
            lock (_lock)
            {
                if (attachment == _attachment)
                {
                    memory.Used.Add(head);
                    _inFlight.Remove(head);
                    Settle();
                }
            }
        });
    }

    private void Settle()
    {
        if (_inFlight.Count == 0)
        {
            _drained?.TrySetResult();
        }
    }
}
