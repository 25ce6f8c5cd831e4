using Microsoft.AspNetCore.Http;

namespace WebVm.Api.Conventions;

/// <summary>A body whose values can be wrong though their form is right.</summary>
internal interface ICheckedBody
{
    /// <summary>Adds every fault that shows without a change being tried.</summary>
    ValueTask CheckAsync(BodyCheck check);
}

/// <summary>Refuses, before an endpoint does anything, a body that has faults, and names all of them.</summary>
internal sealed class BodyFilter : IEndpointFilter
{
    public async ValueTask<object?> InvokeAsync(EndpointFilterInvocationContext context, EndpointFilterDelegate next)
    {
        foreach (var body in context.Arguments.OfType<RequestBody>())
        {
            if (body.Refusal is { } refusal)
            {
                return refusal;
            }

            if (body.Content is ICheckedBody content)
            {
                await content.CheckAsync(new BodyCheck(context.HttpContext, body.Faults));
            }

            if (body.Faults.Count > 0)
            {
                return Problems.Invalid(body.Faults);
            }
        }

        return await next(context);
    }
}

/// <summary>Gathers what is wrong with a body. Of a field that is unsound already nothing more is said.</summary>
internal sealed class BodyCheck(HttpContext context, List<FieldFault> faults)
{
    private readonly string[] _unsound = [.. faults.Select(fault => fault.Pointer)];

    public HttpContext Context { get; } = context;

    /// <summary>Whether the field, and all of its fields, are of the right form.</summary>
    public bool IsSound(string pointer) =>
        !_unsound.Any(
            bad => bad == pointer || bad.StartsWith(pointer + "/", StringComparison.Ordinal)
                || pointer.StartsWith(bad + "/", StringComparison.Ordinal));

    public void Add(IEnumerable<FieldFault> found) => faults.AddRange(found.Where(fault => IsSound(fault.Pointer)));
}
