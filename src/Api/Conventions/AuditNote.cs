using Microsoft.AspNetCore.Http;

namespace WebVm.Api.Conventions;

/// <summary>What an endpoint knows of its caller that the request does not say.</summary>
internal sealed class AuditNote
{
    private int _begun;

    /// <summary>Whether an endpoint has heard the request.</summary>
    public bool Heard { get; private set; }

    /// <summary>Who is signing in, or says so.</summary>
    public string? Actor { get; private set; }

    /// <summary>The outcome of a request that is answered with a page either way.</summary>
    public int? Status { get; private set; }

    /// <summary>Called by endpoints that strangers may use.</summary>
    /// <param name="actor">Who the caller says to be, or is; null when that is not known.</param>
    public static void Take(HttpContext context, string? actor, int? status = null)
    {
        if (context.Features.Get<AuditNote>() is { } note)
        {
            (note.Heard, note.Actor, note.Status) = (true, actor, status);
        }
    }

    /// <summary>True the first time: a request has one record.</summary>
    public bool TryBegin() => Interlocked.Exchange(ref _begun, 1) == 0;
}
