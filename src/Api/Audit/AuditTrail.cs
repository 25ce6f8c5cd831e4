using System.Diagnostics;
using Microsoft.AspNetCore.Authorization;
using Microsoft.AspNetCore.Diagnostics;
using Microsoft.AspNetCore.Http;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Logging;
using WebVm.Api.Conventions;
using WebVm.Api.Identity;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Audit;

/// <summary>
/// Writes down every request that changes something or tries to, and every try to sign in: who, what, and what it was answered with.
/// Outermost, so that nothing that refuses a request does it unseen; before the first byte of the answer, so that nobody has an answer
/// without its record.
/// </summary>
internal sealed partial class AuditTrail(
    RequestDelegate next, IDbContextFactory<WebVmDbContext> databases, GuessLimits limits, ILogger<AuditTrail> log)
{
    // Whoever is told that the database does not answer has waited for it already.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan ShortPatience = TimeSpan.FromSeconds(1);

    public async Task InvokeAsync(HttpContext context)
    {
        var request = context.Request;
        bool changes = !(HttpMethods.IsGet(request.Method) || HttpMethods.IsHead(request.Method) || HttpMethods.IsOptions(request.Method));
        if (!(changes && request.Path.StartsWithSegments("/api")) && request.Path != SessionEndpoints.LinkPath)
        {
            await next(context);
            return;
        }

        string target = request.Path.Value ?? "";
        var note = new AuditNote();
        context.Features.Set(note);
        context.Response.OnStarting(() => WriteAsync(context, target, note, context.Response.StatusCode));
        bool answered = false;
        try
        {
            await next(context);
            answered = true;
        }
        finally
        {
            // An answer without a body has not started yet.
            await WriteAsync(context, target, note, answered ? context.Response.StatusCode : StatusCodes.Status500InternalServerError);
        }
    }

    private async Task WriteAsync(HttpContext context, string target, AuditNote note, int status)
    {
        if (!note.TryBegin() || !IsWanted(context, note, status))
        {
            return;
        }

        var record = new AuditRecord
        {
            Actor = note.Actor ?? context.User.Actor(),
            Action = context.Request.Method,
            Target = target,
            Status = note.Status ?? status,
            Address = context.Connection.RemoteIpAddress?.ToString(),
            TraceId = Activity.Current?.Id ?? context.TraceIdentifier,
        };
        using var limit = new CancellationTokenSource(status == StatusCodes.Status503ServiceUnavailable ? ShortPatience : Patience);
        try
        {
            await using var database = await databases.CreateDbContextAsync(limit.Token);
            database.Audit.Add(record);
            await database.SaveChangesAsync(limit.Token);
        }
        catch (Exception failure) when (failure is OperationCanceledException || DatabaseTrouble.Is(failure))
        {
            // What was done stays done; this is where it is told now.
            LogNotWritten(log, record.Actor, record.Action, record.Target, record.Status, record.Address, failure.Message);
        }
    }

    /// <summary>
    /// A stranger who is turned away must not be able to fill the disk. Tries to sign in are limited and all written down; of those that
    /// were turned away unheard one a minute and address.
    /// </summary>
    private bool IsWanted(HttpContext context, AuditNote note, int status)
    {
        if (context.User.Identity?.IsAuthenticated == true || note.Heard)
        {
            return true;
        }

        // Who answers for a failure clears the endpoint.
        var endpoint = context.GetEndpoint() ?? context.Features.Get<IExceptionHandlerFeature>()?.Endpoint;
        return endpoint?.Metadata.GetMetadata<IAllowAnonymous>() is not null
            && (status is not (StatusCodes.Status429TooManyRequests or StatusCodes.Status403Forbidden)
                || limits.TryRecord(context.Connection.RemoteIpAddress));
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "The audit trail lacks: {Actor} {Action} {Target}, answered {Status}, from "
        + "{Address}: {Reason}")]
    private static partial void LogNotWritten(
        ILogger log, string actor, string action, string target, int status, string? address, string reason);
}
