using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.DataProtection;
using Microsoft.AspNetCore.Http;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Conventions;
using WebVm.Api.Identity;
using WebVm.Api.Operations;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Idempotency;

/// <summary>
/// Answers a repeated POST with the answer of the first, when both carry the same Idempotency-Key. The record is taken before the work,
/// so two at once do the work once; it is dropped when the work ends in a server error or is refused for now, so that a retry can succeed.
/// Requests hold passwords: what is kept of one is of no use to whoever has a copy of the database alone.
/// </summary>
internal sealed class IdempotencyFilter(IDbContextFactory<WebVmDbContext> databases, TimeProvider time, IDataProtectionProvider protection)
    : IEndpointFilter
{
    /// <summary>No answer takes longer than the longest <c>?wait=</c>, by far.</summary>
    public static readonly TimeSpan LongestAnswer = TimeSpan.FromSeconds(2 * OperationEndpoints.LongestWait);

    private const int LongestKey = 255;

    private readonly IDataProtector _requests = protection.CreateProtector("WebVm.Idempotency");

    public async ValueTask<object?> InvokeAsync(EndpointFilterInvocationContext invocation, EndpointFilterDelegate next)
    {
        var context = invocation.HttpContext;
        string key = context.Request.Headers[IdempotentMetadata.Header].ToString();
        if (key.Length == 0 || context.GetEndpoint()?.Metadata.GetMetadata<IdempotentMetadata>() is null)
        {
            return await next(invocation);
        }

        if (key.Length > LongestKey)
        {
            return Problems.BadRequest($"{IdempotentMetadata.Header} is longer than {LongestKey} characters.");
        }

        byte[] hash = await HashAsync(context);
        string actor = context.User.Actor();
        if (!await TryBeginAsync(key, actor, hash, context.RequestAborted))
        {
            return await ReplayAsync(key, actor, hash, context.RequestAborted);
        }

        return await AnswerAndRecordAsync(invocation, next, key, actor);
    }

    private static async Task<byte[]> HashAsync(HttpContext context)
    {
        context.Request.Body.Position = 0;
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes($"{context.Request.Method} {context.Request.Path}{context.Request.QueryString}\n"));
        byte[] buffer = new byte[16384];
        int read;
        while ((read = await context.Request.Body.ReadAsync(buffer, context.RequestAborted)) > 0)
        {
            hash.AppendData(buffer, 0, read);
        }

        return hash.GetHashAndReset();
    }

    /// <summary>
    /// Takes the key. A key whose holder has not answered in the longest time that an answer takes was left by a service that died.
    /// </summary>
    private async Task<bool> TryBeginAsync(string key, string actor, byte[] hash, CancellationToken cancellation)
    {
        await using var database = await databases.CreateDbContextAsync(cancellation);
        var now = time.GetUtcNow();
        database.Idempotency.Add(
            new IdempotencyRecord { Key = key, Actor = actor, RequestHash = _requests.Protect(hash), CreatedAt = now });
        try
        {
            await database.SaveChangesAsync(cancellation);
            return true;
        }
        catch (DbUpdateException failure) when (DatabaseRefusal.IsTaken(failure))
        {
            var abandoned = now - LongestAnswer;
            byte[] kept = _requests.Protect(hash);
            return await database.Idempotency.Where(r => r.Key == key && r.Actor == actor && r.Status == null && r.CreatedAt < abandoned)
                .ExecuteUpdateAsync(set => set.SetProperty(r => r.CreatedAt, now).SetProperty(r => r.RequestHash, kept), cancellation) == 1;
        }
    }

    private async Task<object?> ReplayAsync(string key, string actor, byte[] hash, CancellationToken cancellation)
    {
        await using var database = await databases.CreateDbContextAsync(cancellation);
        var record = await database.Idempotency.AsNoTracking().SingleOrDefaultAsync(r => r.Key == key && r.Actor == actor, cancellation);
        if (record is not null && !IsOf(hash, record.RequestHash))
        {
            return Problems.Create(ProblemTypes.KeyReused, $"This {IdempotentMetadata.Header} was used with another request.");
        }

        return record?.Status is null
            ? Problems.Conflict($"A request with this {IdempotentMetadata.Header} is still being answered.")
            : new ReplayedAnswer(record);
    }

    private bool IsOf(byte[] hash, byte[] kept)
    {
        try
        {
            // Builds before this one kept the hash as it is, for a day at most.
            return CryptographicOperations.FixedTimeEquals(kept.Length == SHA256.HashSizeInBytes ? kept : _requests.Unprotect(kept), hash);
        }
        catch (CryptographicException)
        {
            return false;
        }
    }

    private async Task<object?> AnswerAndRecordAsync(
        EndpointFilterInvocationContext invocation, EndpointFilterDelegate next, string key, string actor)
    {
        var context = invocation.HttpContext;
        var outer = context.Response.Body;
        using var copy = new MemoryStream();
        context.Response.Body = copy;
        try
        {
            object? answer = await next(invocation);
            if (answer is IResult result)
            {
                await result.ExecuteAsync(context);
            }

            await using var database = await databases.CreateDbContextAsync();
            var own = database.Idempotency.Where(r => r.Key == key && r.Actor == actor);
            byte[] body = copy.ToArray();
            if (context.Response.StatusCode is >= 500 or StatusCodes.Status429TooManyRequests)
            {
                await own.ExecuteDeleteAsync();
            }
            else
            {
                int status = context.Response.StatusCode;
                string? location = context.Response.Headers.Location;
                string? tag = context.Response.Headers.ETag;
                string? type = context.Response.ContentType;
                await own.ExecuteUpdateAsync(set => set
                    .SetProperty(r => r.Status, status)
                    .SetProperty(r => r.Location, location)
                    .SetProperty(r => r.Tag, tag)
                    .SetProperty(r => r.ContentType, type)
                    .SetProperty(r => r.Body, body));
            }

            context.Response.Body = outer;
            await outer.WriteAsync(body, context.RequestAborted);
            return Results.Empty;
        }
        catch
        {
            await using var database = await databases.CreateDbContextAsync();
            await database.Idempotency.Where(r => r.Key == key && r.Actor == actor).ExecuteDeleteAsync();
            throw;
        }
        finally
        {
            context.Response.Body = outer;
        }
    }

    private sealed class ReplayedAnswer(IdempotencyRecord record) : IResult
    {
        public async Task ExecuteAsync(HttpContext httpContext)
        {
            var response = httpContext.Response;
            response.StatusCode = record.Status!.Value;
            response.Headers["Idempotency-Replayed"] = "true";
            response.Headers.Location = record.Location;
            response.Headers.ETag = record.Tag;
            response.ContentType = record.ContentType;
            await response.Body.WriteAsync(record.Body, httpContext.RequestAborted);
        }
    }
}
