using Microsoft.AspNetCore.Http;

namespace WebVm.Api.Conventions;

/// <summary>A kind of error that clients can tell from others by its type.</summary>
/// <param name="Name">Behind <c>urn:webvm:problem:</c>.</param>
/// <param name="Title">The same for every occurrence (RFC 9457 §3.1.3).</param>
/// <param name="Meaning">What it says to whoever writes a client.</param>
public sealed record ProblemType(string Name, int Status, string Title, string Meaning)
{
    public const string Base = "urn:webvm:problem:";

    public string Uri => Base + Name;
}

/// <summary>All errors that the API answers with: a closed list. A test compares it with the one in docs/rest.md.</summary>
public static class ProblemTypes
{
    public static ProblemType BadRequest { get; } = new(
        "bad-request", StatusCodes.Status400BadRequest, "Bad request", "The request cannot be read.");

    public static ProblemType Unauthenticated { get; } = new(
        "unauthenticated", StatusCodes.Status401Unauthorized, "Not signed in",
        "There is no sign-in or token, or it is wrong or over. WWW-Authenticate says more.");

    public static ProblemType Forbidden { get; } = new(
        "forbidden", StatusCodes.Status403Forbidden, "Forbidden", "The caller is known, and may not do this.");

    public static ProblemType CrossSite { get; } = new(
        "cross-site-request", StatusCodes.Status403Forbidden, "Cross-site request refused",
        "A page of another site made the browser send this.");

    public static ProblemType NotFound { get; } = new(
        "not-found", StatusCodes.Status404NotFound, "Not found", "There is no such resource.");

    public static ProblemType MethodNotAllowed { get; } = new(
        "method-not-allowed", StatusCodes.Status405MethodNotAllowed, "Method not allowed",
        "The resource has other methods; Allow names them.");

    public static ProblemType Conflict { get; } = new(
        "conflict", StatusCodes.Status409Conflict, "Conflict", "The resource's state does not allow it now.");

    public static ProblemType NameTaken { get; } = new(
        "name-taken", StatusCodes.Status409Conflict, "Name taken", "Another resource has the name; existing tells which.");

    public static ProblemType PreconditionFailed { get; } = new(
        "precondition-failed", StatusCodes.Status412PreconditionFailed, "Changed meanwhile",
        "If-Match or If-None-Match does not hold; ETag tells how the resource stands.");

    public static ProblemType TooLarge { get; } = new(
        "too-large", StatusCodes.Status413PayloadTooLarge, "Too large", "The body has more bytes than are taken.");

    public static ProblemType UnsupportedMediaType { get; } = new(
        "unsupported-media-type", StatusCodes.Status415UnsupportedMediaType, "Unsupported media type",
        "The body is of another content type, character set or content encoding than is read; Accept names those that are.");

    public static ProblemType Invalid { get; } = new(
        "invalid", StatusCodes.Status422UnprocessableEntity, "Invalid request",
        "Fields of the body or the query are wrong; errors names each of them.");

    public static ProblemType KeyReused { get; } = new(
        "idempotency-key-reused", StatusCodes.Status422UnprocessableEntity, "Key used before",
        "The Idempotency-Key was used with another request.");

    public static ProblemType TooMany { get; } = new(
        "too-many-requests", StatusCodes.Status429TooManyRequests, "Too many requests", "Come again after Retry-After seconds.");

    public static ProblemType Failure { get; } = new(
        "internal-error", StatusCodes.Status500InternalServerError, "Internal error", "The service failed; its log has the traceId.");

    public static ProblemType Unavailable { get; } = new(
        "unavailable", StatusCodes.Status503ServiceUnavailable, "Unavailable", "Nothing was done; come again after Retry-After seconds.");

    public static ProblemType Storage { get; } = new(
        "storage", StatusCodes.Status507InsufficientStorage, "Not stored", "The service's disk is full or fails.");

    public static IReadOnlyList<ProblemType> All { get; } =
    [
        BadRequest, Unauthenticated, Forbidden, CrossSite, NotFound, MethodNotAllowed, Conflict, NameTaken, PreconditionFailed, TooLarge,
        UnsupportedMediaType, Invalid, KeyReused,
        TooMany, Failure, Unavailable, Storage,
    ];

    /// <summary>The type of an error that only a status is known of.</summary>
    public static ProblemType Of(int status) =>
        All.FirstOrDefault(type => type.Status == status) ?? (status >= StatusCodes.Status500InternalServerError ? Failure : BadRequest);
}
