using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;

namespace WebVm.Api.Conventions;

/// <summary>What endpoints declare about themselves.</summary>
public static class EndpointConventions
{
    public const string ScopePolicyPrefix = "scope:";

    /// <summary>Type of the claims that say what a caller may do.</summary>
    public const string ScopeClaim = "scope";

    /// <summary>The rules that every endpoint of the API keeps, so that none can forget one.</summary>
    public static RouteGroupBuilder KeepConventions(this RouteGroupBuilder api)
    {
        api.AddEndpointFilter<Answers>().AddEndpointFilter<BodyFilter>();
        ((IEndpointConventionBuilder)api).Finally(endpoint =>
        {
            QueryRules.AddTo(endpoint);
            AnswerHead(endpoint);
        });
        return api;
    }

    /// <summary>Whatever can be read answers HEAD too (RFC 9110 §9.3.2): the server sends such answers without their bodies.</summary>
    public static TBuilder AnswersHead<TBuilder>(this TBuilder builder)
        where TBuilder : IEndpointConventionBuilder
    {
        builder.Finally(AnswerHead);
        return builder;
    }

    /// <summary>Only callers with the scope get in; everyone else 401 or 403.</summary>
    public static TBuilder RequireScope<TBuilder>(this TBuilder builder, string scope)
        where TBuilder : IEndpointConventionBuilder =>
        builder.RequireAuthorization(ScopePolicyPrefix + scope);

    /// <summary>Checks of requests as endpoints declare them. Behind authorization: strangers learn nothing.</summary>
    public static void UseConventions(this IApplicationBuilder app) => QueryRules.Use(app);

    /// <summary>The answer of a POST is remembered by its Idempotency-Key and given again.</summary>
    public static RouteHandlerBuilder Idempotent(this RouteHandlerBuilder builder) =>
        builder.WithMetadata(IdempotentMetadata.Instance);

    /// <summary>The endpoint compares If-Match and If-None-Match with a revision.</summary>
    public static RouteHandlerBuilder Conditional(this RouteHandlerBuilder builder) =>
        builder.WithMetadata(ConditionalMetadata.Instance).ProducesProblem(StatusCodes.Status412PreconditionFailed);

    /// <summary>The list comes in these orders.</summary>
    internal static RouteHandlerBuilder Sorts<T>(this RouteHandlerBuilder builder, ListOrders<T> orders)
        where T : class =>
        builder.WithMetadata(
            new QueryParameter("sort", typeof(string), $"The order; {orders.Names[0]} unless told.", Values: orders.Names));

    private static void AnswerHead(EndpointBuilder endpoint)
    {
        for (int i = 0; i < endpoint.Metadata.Count; i++)
        {
            if (endpoint.Metadata[i] is IHttpMethodMetadata { HttpMethods: [var only] } && only == HttpMethods.Get)
            {
                endpoint.Metadata[i] = new HttpMethodMetadata([HttpMethods.Get, HttpMethods.Head]);
            }
        }
    }
}

/// <summary>Marks endpoints that answer by Idempotency-Key.</summary>
internal sealed class IdempotentMetadata
{
    public const string Header = "Idempotency-Key";

    public static IdempotentMetadata Instance { get; } = new();
}

/// <summary>A header that an endpoint reads.</summary>
public sealed record HeaderParameter(string Name, string Description);

/// <summary>A header that an endpoint's good answers have.</summary>
public sealed record AnswerHeader(string Name, string Description);

/// <summary>Marks endpoints whose answer has an ETag that If-None-Match is compared with, though it is no JSON.</summary>
internal sealed class Revalidated
{
    public static Revalidated Instance { get; } = new();
}

/// <summary>Marks endpoints that compare If-Match.</summary>
internal sealed class ConditionalMetadata
{
    public static ConditionalMetadata Instance { get; } = new();
}
