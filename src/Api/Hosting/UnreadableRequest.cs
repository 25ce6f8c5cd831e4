using System.Text.Json;
using Microsoft.AspNetCore.Diagnostics;
using Microsoft.AspNetCore.Http;
using Microsoft.EntityFrameworkCore;
using Npgsql;
using WebVm.Api.Conventions;

namespace WebVm.Api.Hosting;

/// <summary>Turns what goes wrong below the endpoints into the answer that its cause deserves.</summary>
internal sealed class UnreadableRequest : IExceptionHandler
{
    public async ValueTask<bool> TryHandleAsync(HttpContext httpContext, Exception exception, CancellationToken cancellationToken)
    {
        var answer = exception switch
        {
            BadHttpRequestException { InnerException: JsonException json } => Problems.Invalid([JsonFaults.From(json)]),
            BadHttpRequestException bad => Problems.Create(bad.StatusCode, "bad-request", "Bad request", bad.Message),
            DbUpdateConcurrencyException => Problems.PreconditionFailed("another"),
            NpgsqlException or InvalidOperationException { InnerException: NpgsqlException } => Problems.Unavailable("The database does not answer; the request was not carried out."),
            _ => null,
        };
        if (answer is null)
        {
            return false;
        }

        await answer.ExecuteAsync(httpContext);
        return true;
    }
}
