using System.Collections.Concurrent;
using System.Security.Claims;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Hosting;

namespace WebVm.Api.Identity;

/// <summary>
/// Knows what is under way, and by which right: every request, and with it every WebSocket, stream, upload and page's connection. What goes
/// on when its right has ended or allows less is broken off: at once where this service took it back, half a second later where the
/// database tells of it, be it another service's doing or time's.
/// </summary>
public sealed class LiveRights(StandingRights standing, TimeProvider time) : BackgroundService
{
    // Half of the second that is promised. Nothing is asked while nobody is there.
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(500);

    private readonly ConcurrentDictionary<Holder, bool> _holders = new();
    private readonly SemaphoreSlim _due = new(0, 1);

    /// <summary>Notes that something is under way in the caller's name, until disposed. Null where there is nothing to take back.</summary>
    /// <param name="end">Breaks it off.</param>
    public IDisposable? Hold(ClaimsPrincipal caller, Action end)
    {
        if (Right.KeyOf(caller) is not { } key)
        {
            return null;
        }

        var holder = new Holder(this, key, caller, end);
        _holders[holder] = true;
        return holder;
    }

    /// <summary>
    /// For a request that takes rights back: when what is returned is disposed, all that is under way is looked at. The request itself,
    /// whose own right may be among them, has its answer to give first.
    /// </summary>
    public IDisposable Changing(HttpContext context)
    {
        context.Features.Get<Holder>()?.Dispose();
        return new Change(this);
    }

    /// <summary>Holds the request to the right by which it came in.</summary>
    internal IDisposable? Hold(HttpContext context)
    {
        var held = Hold(context.User, context.Abort);
        context.Features.Set(held as Holder);
        return held;
    }

    private void Look()
    {
        try
        {
            _due.Release();
        }
        catch (SemaphoreFullException)
        {
            // It is going to be.
        }
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await _due.WaitAsync(Interval, stoppingToken);
                await EndWhatHasNoRightAsync(stoppingToken);
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception)
            {
                // What the database fails at stands in its own log, and the watch must not end. Whoever cannot ask it still knows the time.
                EndExpired();
            }
        }
    }

    private async Task EndWhatHasNoRightAsync(CancellationToken cancellation)
    {
        // Those that come while the database is asked have been asked for themselves.
        Holder[] holders = [.. _holders.Keys];
        if (holders.Length == 0)
        {
            return;
        }

        var rights = await standing.FindAsync([.. holders.Select(holder => holder.Key).Distinct()], cancellation);
        foreach (var holder in holders)
        {
            if (!rights.TryGetValue(holder.Key, out var right) || !holder.Scopes.All(right.Scopes.Contains))
            {
                holder.End();
            }
        }
    }

    private void EndExpired()
    {
        var now = time.GetUtcNow();
        foreach (var holder in _holders.Keys)
        {
            if (holder.EndsAt <= now)
            {
                holder.End();
            }
        }
    }

    private sealed class Change(LiveRights owner) : IDisposable
    {
        public void Dispose() => owner.Look();
    }

    private sealed class Holder(LiveRights owner, RightKey key, ClaimsPrincipal caller, Action end) : IDisposable
    {
        private readonly Lock _ending = new();

        public RightKey Key => key;

        public DateTimeOffset? EndsAt => Right.EndOf(caller);

        public IEnumerable<string> Scopes => caller.FindAll(Principals.ScopeClaim).Select(claim => claim.Value);

        // A request that has ended is not broken off: its context may be another's by then.
        public void End()
        {
            lock (_ending)
            {
                if (owner._holders.TryRemove(this, out _))
                {
                    end();
                }
            }
        }

        public void Dispose()
        {
            lock (_ending)
            {
                owner._holders.TryRemove(this, out _);
            }
        }
    }
}

/// <summary>
/// Breaks a request off when the right by which it came in ends. Behind authentication, in front of everything that takes time.
/// </summary>
internal sealed class EndWithRight(RequestDelegate next, LiveRights rights)
{
    public async Task InvokeAsync(HttpContext context)
    {
        using var held = rights.Hold(context);
        await next(context);
    }
}
