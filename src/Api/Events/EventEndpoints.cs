using System.Buffers;
using System.ComponentModel;
using System.Diagnostics;
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
    // The feed comes with nothing every five seconds: no stream is silent for fifteen.
    private static readonly TimeSpan KeepAlive = TimeSpan.FromSeconds(9);

    public static void MapEvents(this IEndpointRouteBuilder api) =>
        api.MapGet("/events", StreamAsync).RequireScope(Scopes.VmsRead).WithTags("Events")
            .WithMetadata(new HeaderParameter("Last-Event-ID", "Id of the last event that was seen; takes precedence over ?after=."))
                .WithSummary("Follow everything that happens, as server-sent events")
            .WithDescription(
                "Starts after Last-Event-ID (header) or ?after=; without either, with what happens from now on. after=0 replays all "
                + "that is kept. If events after that one are not kept any more, the first event is of type gap, with {after, next}: "
                + "read again what you show. 50 streams of one user are open at most; one more is answered 429.")
            .Produces<EventView>(200, "text/event-stream").ProducesProblem(StatusCodes.Status429TooManyRequests);

    private static async Task<IResult> StreamAsync(
        HttpContext context, EventFeed feed, StreamLimits limits, IHostApplicationLifetime lifetime,
        [Description("Id of the last event that was seen; 0 for all that are kept.")] long? after,
        [Description("Those of this VM.")] Guid? vm)
    {
        using var lease = limits.TryOpen(context.User, StreamKind.Events);
        if (lease is null)
        {
            return StreamLimits.Refuse(context.Response);
        }

        using var over = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, lifetime.ApplicationStopping);
        var cancellation = over.Token;
        string? resumed = context.Request.Headers["Last-Event-ID"].FirstOrDefault() is { Length: > 0 } id ? id : null;
        long? seen = resumed is null
            ? after
            : long.TryParse(resumed, NumberStyles.None, CultureInfo.InvariantCulture, out long last) ? last : null;
        var (position, gap) = resumed is null && after is null
            ? (await feed.LatestAsync(cancellation), null)
            : await feed.ResumeAsync(seen, cancellation);
        context.Response.ContentType = "text/event-stream";
        context.Response.Headers.CacheControl = "no-store";
        context.Response.Headers["X-Accel-Buffering"] = "no";
        context.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
        if (HttpMethods.IsHead(context.Request.Method))
        {
            return Results.Empty;
        }

        var body = context.Response.BodyWriter;
        body.Write(": connected\n\n"u8);
        if (gap is not null)
        {
            body.Write(TailedEvent.Format(position, "gap", gap));
        }

        try
        {
            await body.FlushAsync(cancellation);
            long written = Stopwatch.GetTimestamp();
            await foreach (var events in feed.ReadAsync(position, vm, lease.Turn, cancellation))
            {
                if (events.Count == 0)
                {
                    if (Stopwatch.GetElapsedTime(written) < KeepAlive)
                    {
                        continue;
                    }

                    // Proxies close what is silent.
                    body.Write(": alive\n\n"u8);
                }

                foreach (var happened in events)
                {
                    body.Write(happened.Frame.Span);
                }

                await body.FlushAsync(cancellation);
                written = Stopwatch.GetTimestamp();
            }
        }
        catch (OperationCanceledException)
        {
            // The client left, its right ended, or the service stops.
        }

        return Results.Empty;
    }
}

/// <summary>An event as clients see it.</summary>
public sealed record EventView(long Id, string Type, string Subject, Guid? VmId, string? Message, JsonElement Data, DateTimeOffset At)
{
    public static EventView From(EventRecord record) =>
        new(record.Id, record.Type, record.Subject, record.VmId, record.Message, JsonSerializer.Deserialize<JsonElement>(
            record.Data), record.At);
}
