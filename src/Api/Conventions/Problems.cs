using System.Diagnostics;
using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;

namespace WebVm.Api.Conventions;

/// <summary>One bad field of a request.</summary>
/// <param name="Pointer">JSON pointer (RFC 6901) into the request's body, "" for the body itself, or "?name" for a query parameter.</param>
public sealed record FieldFault(string Pointer, string Message)
{
    /// <summary>Where JSON cannot be read any further; from 1.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public long? Line { get; init; }

    /// <summary>Byte of that line; from 1.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public long? Column { get; init; }

    /// <summary>As part of a sentence.</summary>
    public override string ToString() => $"{(Pointer.Length == 0 ? "The body" : Pointer)} {Message}";
}

/// <summary>The resource that has the name which a request wanted.</summary>
public sealed record ExistingResource(Guid Id, string Href);

/// <summary>The API's errors (RFC 9457), each of one of <see cref="ProblemTypes"/>.</summary>
public static class Problems
{
    // A database that restarts is back in seconds.
    private const string RetryAfterSeconds = "2";

    public static ProblemHttpResult NotFound(string kind, object id) => Create(ProblemTypes.NotFound, $"There is no {kind} {id}.");

    public static ProblemHttpResult Conflict(string detail) => Create(ProblemTypes.Conflict, detail);

    /// <param name="collection">Path of the resource's list, to which its id is added.</param>
    /// <param name="other">Who has the name; null when it is gone by now.</param>
    public static ProblemHttpResult NameTaken(string kind, string name, string collection, Guid? other) =>
        Create(
            ProblemTypes.NameTaken,
            $"There is already a {kind} named \"{name}\".",
            [new("/name", "is taken")],
            other is { } id ? ("existing", new ExistingResource(id, $"{collection}/{id}")) : null);

    public static ProblemHttpResult PreconditionFailed(string etag) =>
        Create(ProblemTypes.PreconditionFailed, $"The resource has changed since it was read; its ETag is now {etag}. Read it again and repeat the change.");

    public static ProblemHttpResult Forbidden(string detail) => Create(ProblemTypes.Forbidden, detail);

    public static ProblemHttpResult Invalid(IReadOnlyList<FieldFault> faults) =>
        Create(ProblemTypes.Invalid, faults.Count == 1
            ? $"{faults[0]}."
            : $"{faults.Count} fields are invalid: {string.Join(", ", faults.Select(fault => fault.Pointer).Distinct())}.", faults);

    public static ProblemHttpResult Invalid(string pointer, string message) => Invalid([new(pointer, message)]);

    public static ProblemHttpResult BadRequest(string detail) => Create(ProblemTypes.BadRequest, detail);

    public static ProblemHttpResult TooMany(string detail) => Create(ProblemTypes.TooMany, detail);

    public static ProblemHttpResult Unavailable(string detail) => Create(ProblemTypes.Unavailable, detail);

    public static ProblemHttpResult Create(
        ProblemType type, string detail, IReadOnlyList<FieldFault>? faults = null, (string Name, object Value)? extension = null)
    {
        var extensions = new Dictionary<string, object?>();
        if (faults is not null)
        {
            extensions["errors"] = faults;
        }

        if (extension is { } more)
        {
            extensions[more.Name] = more.Value;
        }

        return TypedResults.Problem(statusCode: type.Status, type: type.Uri, title: type.Title, detail: detail, extensions: extensions);
    }

    /// <summary>What every error has, whoever made it: a type of the list, the trace, and the headers that belong to its status.</summary>
    public static void Complete(ProblemDetailsContext context)
    {
        var problem = context.ProblemDetails;
        var response = context.HttpContext.Response;
        problem.Extensions["traceId"] = Activity.Current?.Id ?? context.HttpContext.TraceIdentifier;
        if (problem.Type?.StartsWith(ProblemType.Base, StringComparison.Ordinal) != true)
        {
            var type = ProblemTypes.Of(problem.Status ?? response.StatusCode);
            (problem.Type, problem.Title) = (type.Uri, type.Title);
            problem.Detail ??= type.Meaning;
        }

        switch (problem.Status ?? response.StatusCode)
        {
            case StatusCodes.Status401Unauthorized when response.Headers.WWWAuthenticate.Count == 0:
                response.Headers.WWWAuthenticate = Challenges.Bearer;
                break;
            case StatusCodes.Status403Forbidden when problem.Type == ProblemTypes.Forbidden.Uri:
                Challenges.NameScope(context);
                break;
            case StatusCodes.Status429TooManyRequests
                or StatusCodes.Status503ServiceUnavailable when response.Headers.RetryAfter.Count == 0:
                response.Headers.RetryAfter = RetryAfterSeconds;
                break;
        }
    }
}
