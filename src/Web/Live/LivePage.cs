using Microsoft.AspNetCore.Components;
using WebVm.Api.Persistence.Entities;
using WebVm.Web.InProcess;

namespace WebVm.Web.Live;

/// <summary>
/// A page that loads from the API and loads again when something happens that it shows. What its first rendering, on the server alone,
/// found it hands over to the interactive one by [PersistentState]. The framework sets such a property to that once more when parameters
/// arrive for the second time, whatever it is by then (PersistentValueProviderComponentSubscription), so what a page shows is another
/// property.
/// </summary>
public abstract class LivePage : ComponentBase, IDisposable
{
    // Events come in bursts; one look after the burst is enough.
    private static readonly TimeSpan Calm = TimeSpan.FromMilliseconds(80);

    private readonly CancellationTokenSource _closed = new();
    private IDisposable? _subscription;
    private bool _due;
    private bool _following;

    [Inject]
    protected LiveEvents Events { get; set; } = null!;

    [Inject]
    protected ApiClient Api { get; set; } = null!;

    [Inject]
    protected Toasts Toasts { get; set; } = null!;

    protected CancellationToken Closed => _closed.Token;

    /// <summary>Reads what the page shows.</summary>
    protected abstract Task LoadAsync();

    /// <summary>Whether the event changes what the page shows.</summary>
    protected abstract bool Concerns(EventRecord record);

    protected override async Task OnInitializedAsync()
    {
        if (RendererInfo.IsInteractive)
        {
            _subscription = Events.Subscribe(record =>
            {
                if (Concerns(record))
                {
                    _ = InvokeAsync(ReloadSoonAsync);
                }
            });
        }

        await LoadAsync();
    }

    protected async Task ReloadAsync()
    {
        await LoadAsync();
        StateHasChanged();
    }

    /// <summary>Calls back in the page's own context, again and again, until the page is closed.</summary>
    protected async Task RepeatAsync(TimeSpan interval, Func<Task> work)
    {
        using var timer = new PeriodicTimer(interval);
        try
        {
            while (await timer.WaitForNextTickAsync(Closed))
            {
                await work();
            }
        }
        catch (OperationCanceledException)
        {
            // The page is closed.
        }
    }

    /// <summary>
    /// Loads again and again while something is under way whose progress is no event. A second call while it does so is ignored.
    /// </summary>
    protected async Task FollowWhileAsync(TimeSpan interval, Func<bool> underWay)
    {
        if (_following || !RendererInfo.IsInteractive)
        {
            return;
        }

        _following = true;
        try
        {
            while (underWay())
            {
                await Task.Delay(interval, Closed);
                await ReloadAsync();
            }
        }
        catch (OperationCanceledException)
        {
            // The page is closed.
        }
        finally
        {
            _following = false;
        }
    }

    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    protected virtual void Dispose(bool disposing)
    {
        if (disposing)
        {
            _subscription?.Dispose();
            _closed.Cancel();
            _closed.Dispose();
        }
    }

    /// <summary>
    /// Loads once more in a moment, for what happened before the page listened: between its first rendering and its connection.
    /// </summary>
    protected async Task ReloadSoonAsync()
    {
        if (_due)
        {
            return;
        }

        _due = true;
        try
        {
            await Task.Delay(Calm, Closed);
            _due = false;
            await ReloadAsync();
        }
        catch (OperationCanceledException)
        {
            // The page is closed.
        }
        catch (ObjectDisposedException)
        {
            // The page is closed.
        }
        finally
        {
            _due = false;
        }
    }
}
