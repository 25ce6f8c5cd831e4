using System.ComponentModel;
using System.Globalization;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Hosting;
using WebVm.Api.Conventions;
using WebVm.Api.Identity;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Events;

/// <summary><c>GET /events</c>: server-sent events (WHATWG HTML §9.2) with replay by Last-Event-ID.</summary>
public static class EventEndpoints
{
    private static readonly TimeSpan KeepAlive = TimeSpan.FromSeconds(15);

    public static void MapEvents(this IEndpointRouteBuilder api) =>
        api.MapGet("/events", StreamAsync).RequireScope(Scopes.VmsRead).WithTags("Events")
            .WithMetadata(new HeaderParameter("Last-Event-ID", "Id of the last event that was seen; takes precedence over ?after=.")).WithSummary("Follow everything that happens, as server-sent events")
            .WithDescription("Starts after Last-Event-ID (header) or ?after=; without either, with what happens from now on. after=0 replays all that is kept. If events after that one are not kept any more, the first event is of type gap, with {after, next}: read again what you show.")
            .Produces<EventView>(200, "text/event-stream");

    private static async Task StreamAsync(HttpContext context, EventFeed feed, IHostApplicationLifetime lifetime, [Description("Id of the last event that was seen; 0 for all that are kept.")] long? after, [Description("Those of this VM.")] Guid? vm)
    {
        using var over = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, lifetime.ApplicationStopping);
        var cancellation = over.Token;
        string? resumed = context.Request.Headers["Last-Event-ID"].FirstOrDefault() is { Length: > 0 } id ? id : null;
        long? seen = resumed is null ? after : long.TryParse(resumed, NumberStyles.None, CultureInfo.InvariantCulture, out long last) ? last : null;
        var gap = resumed is null && after is null ? null : await feed.GapAfterAsync(seen, cancellation);
        long position = gap is not null ? gap.Next - 1 : seen ?? await feed.LatestAsync(cancellation);
        context.Response.ContentType = "text/event-stream";
        context.Response.Headers.CacheControl = "no-store";
        context.Response.Headers["X-Accel-Buffering"] = "no";
        context.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
        if (HttpMethods.IsHead(context.Request.Method))
        {
            return;
        }

        await context.Response.WriteAsync(": connected\n\n", cancellation);
        if (gap is not null)
        {
            await context.Response.WriteAsync($"id: {position}\nevent: gap\ndata: {JsonSerializer.Serialize(gap, ApiJson.Options)}\n\n", cancellation);
        }

        await context.Response.Body.FlushAsync(cancellation);

        await using var events = feed.ReadAsync(position, vm, cancellation).GetAsyncEnumerator(cancellation);
        var next = events.MoveNextAsync().AsTask();
        try
        {
            while (true)
            {
                // Proxies close what is silent.
                if (await Task.WhenAny(next, Task.Delay(KeepAlive, cancellation)) != next)
                {
                    await context.Response.WriteAsync(": alive\n\n", cancellation);
                }
                else if (await next)
                {
                    await WriteAsync(context.Response, events.Current, cancellation);
                    next = events.MoveNextAsync().AsTask();
                }

                await context.Response.Body.FlushAsync(cancellation);
            }
        }
        catch (OperationCanceledException)
        {
            // The client left, or the service stops.
        }
        finally
        {
            // An enumerator that is still looking for its next event cannot be disposed.
            await over.CancelAsync();
            await ((Task)next).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private static Task WriteAsync(HttpResponse response, EventRecord record, CancellationToken cancellation) =>
        response.WriteAsync($"id: {record.Id}\nevent: {record.Type}\ndata: {JsonSerializer.Serialize(EventView.From(record), ApiJson.Options)}\n\n", cancellation);
}

/// <summary>An event as clients see it.</summary>
public sealed record EventView(long Id, string Type, string Subject, Guid? VmId, string? Message, JsonElement Data, DateTimeOffset At)
{
    public static EventView From(EventRecord record) =>
        new(record.Id, record.Type, record.Subject, record.VmId, record.Message, JsonSerializer.Deserialize<JsonElement>(record.Data), record.At);
}
