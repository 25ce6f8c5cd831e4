using System.Text.Json;
using Microsoft.AspNetCore.Diagnostics;
using Microsoft.AspNetCore.Http;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Conventions;
using WebVm.Api.Persistence;

namespace WebVm.Api.Hosting;

/// <summary>Turns what goes wrong below the endpoints into the answer that its cause deserves.</summary>
internal sealed class UnreadableRequest : IExceptionHandler
{
    private const string RetryAfterSeconds = "2";

    public async ValueTask<bool> TryHandleAsync(HttpContext httpContext, Exception exception, CancellationToken cancellationToken)
    {
        var answer = exception switch
        {
            BadHttpRequestException { InnerException: JsonException json } => Problems.Invalid([JsonFaults.From(json)]),
            BadHttpRequestException bad => Problems.Create(bad.StatusCode, "bad-request", "Bad request", bad.Message),
            DbUpdateConcurrencyException => Problems.PreconditionFailed("another"),
            _ when DatabaseTrouble.Is(exception) => Problems.Unavailable("The database does not answer; the request was not carried out."),
            _ => null,
        };
        if (answer is null)
        {
            return false;
        }

        if (answer.StatusCode == StatusCodes.Status503ServiceUnavailable)
        {
            httpContext.Response.Headers.RetryAfter = RetryAfterSeconds;
        }

        await answer.ExecuteAsync(httpContext);
        return true;
    }
}
