using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Diagnostics;
using Microsoft.AspNetCore.Http;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Conventions;
using WebVm.Api.Persistence;

namespace WebVm.Api.Hosting;

/// <summary>Turns what goes wrong below the endpoints into the answer that its cause deserves.</summary>
internal sealed partial class UnreadableRequest : IExceptionHandler
{
    public async ValueTask<bool> TryHandleAsync(HttpContext httpContext, Exception exception, CancellationToken cancellationToken)
    {
        var answer = exception switch
        {
            BadHttpRequestException bad => Problems.Create(ProblemTypes.Of(bad.StatusCode), InOurWords(bad.Message)),
            DbUpdateConcurrencyException => Problems.PreconditionFailed("another"),
            _ when DatabaseRefusal.IsUnstorable(exception) =>
                Problems.BadRequest("A text contains U+0000, which cannot be stored or looked for."),
            _ when DatabaseRefusal.IsOrphaned(exception) => Problems.Conflict("What the request belongs to was deleted meanwhile."),
            _ when DatabaseTrouble.Is(exception) => Problems.Unavailable("The database does not answer; the request was not carried out."),
            _ => null,
        };
        if (answer is null)
        {
            return false;
        }

        await answer.ExecuteAsync(httpContext);
        return true;
    }

    /// <summary>The framework speaks of its own parameters and types; clients know of names.</summary>
    private static string InOurWords(string message) =>
        message.StartsWith("Implicit body", StringComparison.Ordinal) ? "The request needs a body."
        : Parameter()
            .Match(message) is { Success: true } parameter ? $"{parameter.Groups["name"]} {(parameter.Groups["given"].Success ? "is not of the expected form" : "is required")}."
        : message;

    [GeneratedRegex("""^(?:(?<given>Failed to bind)|Required) parameter "\S.* (?<name>\S+)" """)]
    private static partial Regex Parameter();
}
