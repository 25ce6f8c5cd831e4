using WebVm.Api.Operations;
using WebVm.Api.Persistence.Entities;
using WebVm.Web.InProcess;

namespace WebVm.Web.Live;

public enum ToastKind
{
    Working,
    Done,
    Failed,
    Told,
}

/// <summary>A short message that goes by itself, unless it tells of a failure.</summary>
public sealed class Toast
{
    public Guid Id { get; } = Guid.NewGuid();

    public required ToastKind Kind { get; set; }

    public required string Title { get; set; }

    public string? Detail { get; set; }

    /// <summary>The operation that it follows.</summary>
    public Guid? Operation { get; init; }

    public string? OnSuccess { get; init; }
}

/// <summary>The messages of one browser tab.</summary>
public sealed class Toasts : IDisposable
{
    private static readonly TimeSpan Shown = TimeSpan.FromSeconds(5);
    private const int Most = 5;

    private readonly LiveEvents _events;
    private readonly IDisposable _subscription;
    private readonly Lock _lock = new();
    private readonly List<Toast> _toasts = [];
    private readonly Dictionary<Guid, EventRecord> _early = [];

    public Toasts(LiveEvents events)
    {
        _events = events;
        _subscription = _events.Subscribe(Happened);
    }

    public event Action? Changed;

    public IReadOnlyList<Toast> All
    {
        get
        {
            lock (_lock)
            {
                return [.. _toasts];
            }
        }
    }

    public void Done(string title, string? detail = null) => Add(new Toast { Kind = ToastKind.Done, Title = title, Detail = detail });

    public void Failed(string title, ApiProblem problem) =>
        Add(new Toast { Kind = ToastKind.Failed, Title = title, Detail = problem.Sentence });

    public void Told(string title, string? detail = null) => Add(new Toast { Kind = ToastKind.Told, Title = title, Detail = detail });

    /// <summary>Follows an operation to its end.</summary>
    public void Follow(OperationView operation, string working, string done)
    {
        var toast = new Toast { Kind = ToastKind.Working, Title = working, Operation = operation.Id, OnSuccess = done };
        Add(toast);
        EventRecord? already;
        lock (_lock)
        {
            _early.Remove(operation.Id, out already);
        }

        if (already is not null)
        {
            End(toast, already);
        }
        else if (operation.FinishedAt is not null)
        {
            End(toast, operation.State, operation.Error);
        }
    }

    /// <summary>Tells of an answer: a problem, or the operation that it started.</summary>
    public bool Report(ApiAnswer<OperationView> answer, string working, string done, string failed)
    {
        if (answer.Problem is { } problem)
        {
            Failed(failed, problem);
            return false;
        }

        Follow(answer.Value!, working, done);
        return true;
    }

    public void Dismiss(Guid id)
    {
        lock (_lock)
        {
            _toasts.RemoveAll(toast => toast.Id == id);
        }

        Changed?.Invoke();
    }

    public void Dispose() => _subscription.Dispose();

    private void Add(Toast toast)
    {
        lock (_lock)
        {
            _toasts.Add(toast);
            if (_toasts.Count > Most)
            {
                _toasts.RemoveAt(0);
            }
        }

        Changed?.Invoke();
        if (toast.Kind is ToastKind.Done or ToastKind.Told)
        {
            _ = DismissLaterAsync(toast.Id);
        }
    }

    private void Happened(EventRecord record)
    {
        if (!record.Type.StartsWith("operation.", StringComparison.Ordinal)
            || !Guid.TryParse(record.Subject[(record.Subject.LastIndexOf('/') + 1)..], out var id))
        {
            return;
        }

        Toast? toast;
        lock (_lock)
        {
            toast = _toasts.FirstOrDefault(t => t.Operation == id);
            if (toast is null)
            {
                // The event may overtake the answer to the request that started the operation.
                if (_early.Count > 64)
                {
                    _early.Clear();
                }

                _early[id] = record;
                return;
            }
        }

        End(toast, record);
    }

    private void End(Toast toast, EventRecord record) =>
        End(toast, Enum.Parse<OperationState>(record.Type["operation.".Length..], ignoreCase: true), record.Message);

    private void End(Toast toast, OperationState state, string? error)
    {
        (toast.Kind, toast.Title, toast.Detail) = state switch
        {
            OperationState.Succeeded => (ToastKind.Done, toast.OnSuccess ?? toast.Title, null),
            OperationState.Cancelled => (ToastKind.Told, "Cancelled", toast.Title),
            _ => (ToastKind.Failed, "That did not work", error),
        };
        Changed?.Invoke();
        if (toast.Kind != ToastKind.Failed)
        {
            _ = DismissLaterAsync(toast.Id);
        }
    }

    private async Task DismissLaterAsync(Guid id)
    {
        await Task.Delay(Shown);
        Dismiss(id);
    }
}
