using Microsoft.AspNetCore.Http;

namespace WebVm.Api.Conventions;

/// <summary>A request's JSON body as <see cref="BodyFilter"/> meets it: refused, with faults, or sound.</summary>
public abstract class RequestBody
{
    private protected RequestBody(List<FieldFault> faults, IResult? refusal) => (Faults, Refusal) = (faults, refusal);

    internal List<FieldFault> Faults { get; }

    /// <summary>The answer to a body that is none; null when there is one.</summary>
    internal IResult? Refusal { get; }

    /// <summary>What the body says, where that shows without the resource it is for.</summary>
    internal virtual object? Content => null;

    /// <summary>Reads a body of one kind.</summary>
    /// <param name="refuse">Makes the body that is none.</param>
    /// <param name="read">Makes the body from its bytes, which are its only for as long as the call lasts.</param>
    private protected static async ValueTask<TBody> ReadAsync<TBody>(
        HttpContext context, Func<IResult, TBody> refuse, Func<ReadOnlyMemory<byte>, List<FieldFault>, TBody> read)
        where TBody : RequestBody
    {
        using var bytes = new PooledBytes();
        return await BodyBytes.ReadAsync(context, bytes, context.RequestAborted) is { } refusal
            ? refuse(refusal)
            : read(BodyBytes.Content(bytes), []);
    }
}
