using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;

namespace WebVm.Api.Conventions;

/// <summary>One bad field of a request.</summary>
/// <param name="Pointer">JSON pointer (RFC 6901) into the request's body, or "?name" for a query parameter.</param>
public sealed record FieldFault(string Pointer, string Message);

/// <summary>The API's errors (RFC 9457). ASP.NET Core adds traceId.</summary>
public static class Problems
{
    private const string TypeBase = "urn:webvm:problem:";

    public static ProblemHttpResult NotFound(string kind, object id) =>
        Create(StatusCodes.Status404NotFound, "not-found", "Not found", $"There is no {kind} {id}.");

    public static ProblemHttpResult Conflict(string detail) =>
        Create(StatusCodes.Status409Conflict, "conflict", "Conflict", detail);

    public static ProblemHttpResult NameTaken(string kind, string name) =>
        Create(StatusCodes.Status409Conflict, "name-taken", "Name taken", $"There is already a {kind} named \"{name}\".", [new("/name", "is taken")]);

    public static ProblemHttpResult PreconditionFailed(string etag) =>
        Create(StatusCodes.Status412PreconditionFailed, "precondition-failed", "Changed meanwhile", $"The resource has changed since it was read; its ETag is now {etag}. Read it again and repeat the change.");

    public static ProblemHttpResult Forbidden(string detail) =>
        Create(StatusCodes.Status403Forbidden, "forbidden", "Forbidden", detail);

    public static ProblemHttpResult Invalid(IReadOnlyList<FieldFault> faults) =>
        Create(StatusCodes.Status422UnprocessableEntity, "invalid", "Invalid request", faults.Count == 1 ? $"{faults[0].Pointer} {faults[0].Message}." : $"{faults.Count} fields are invalid.", faults);

    public static ProblemHttpResult Invalid(string pointer, string message) => Invalid([new(pointer, message)]);

    public static ProblemHttpResult BadRequest(string detail) =>
        Create(StatusCodes.Status400BadRequest, "bad-request", "Bad request", detail);

    public static ProblemHttpResult TooMany(string detail) =>
        Create(StatusCodes.Status429TooManyRequests, "too-many-requests", "Too many requests", detail);

    public static ProblemHttpResult Unavailable(string detail) =>
        Create(StatusCodes.Status503ServiceUnavailable, "unavailable", "Unavailable", detail);

    public static ProblemHttpResult Create(int status, string type, string title, string detail, IReadOnlyList<FieldFault>? faults = null) =>
        TypedResults.Problem(
            statusCode: status,
            type: TypeBase + type,
            title: title,
            detail: detail,
            extensions: faults is null ? null : new Dictionary<string, object?> { ["errors"] = faults });
}
