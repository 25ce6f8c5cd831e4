using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using WebVm.Api.Conventions;

namespace WebVm.Api.Idempotency;

/// <summary>A request that is sent again with its key is answered as the first one was.</summary>
internal static class IdempotencyModule
{
    /// <summary>Lets endpoints that answer by key read a request's body twice. Behind routing, in front of everything that reads.</summary>
    public static void UseIdempotency(this IApplicationBuilder app) => app.Use((context, next) =>
    {
        if (context.GetEndpoint()?.Metadata.GetMetadata<IdempotentMetadata>() is not null
            && context.Request.Headers.ContainsKey(IdempotentMetadata.Header))
        {
            context.Request.EnableBuffering();
        }

        return next(context);
    });

    /// <summary>
    /// Around all other filters: whoever comes again with a key has the first answer, whatever is to be said of the body by now.
    /// </summary>
    public static RouteGroupBuilder AnswerByKey(this RouteGroupBuilder api) =>
        api.AddEndpointFilter<RouteGroupBuilder, IdempotencyFilter>();
}
