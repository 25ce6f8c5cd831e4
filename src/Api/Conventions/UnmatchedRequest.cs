using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Http.Metadata;
using Microsoft.AspNetCore.Routing;
using Microsoft.AspNetCore.Routing.Patterns;
using Microsoft.AspNetCore.Routing.Template;

namespace WebVm.Api.Conventions;

/// <summary>
/// Answers requests that no endpoint takes with what is wrong with them: there is no such path (404), the path has other methods (405 with
/// Allow, RFC 9110 §15.5.6; OPTIONS asks for just that), or the method takes another content type (415).
/// </summary>
internal sealed class UnmatchedRequest(EndpointDataSource endpoints, ParameterPolicyFactory policies)
{
    private readonly Lazy<Candidate[]> _candidates = new(() => [.. endpoints.Endpoints.OfType<RouteEndpoint>()
        .Where(endpoint => endpoint.Metadata.GetMetadata<IHttpMethodMetadata>() is { HttpMethods.Count: > 0 })
            .Select(endpoint => new Candidate(endpoint, policies))]);

    public IResult Answer(HttpContext context)
    {
        var (request, response) = (context.Request, context.Response);
        var matching = _candidates.Value.Where(candidate => candidate.Matches(context)).ToList();
        if (matching.Count == 0)
        {
            return Problems.NotFound("resource", request.Path);
        }

        if (matching.Find(candidate => candidate.Methods.Contains(request.Method)) is { } taken)
        {
            bool empty = context.Features.Get<IHttpRequestBodyDetectionFeature>() is { CanHaveBody: false };
            return empty ? BodyBytes.None : MediaTypes.Refuse(request, taken.ContentTypes);
        }

        response.Headers.Allow = string.Join(
            ", ", matching.SelectMany(candidate => candidate.Methods).Append(HttpMethods.Options).Distinct().Order(StringComparer.Ordinal));
        return HttpMethods.IsOptions(request.Method)
            ? Results.NoContent()
            : Problems.Create(
                ProblemTypes.MethodNotAllowed, $"{request.Path} does not have {request.Method}; it has {response.Headers.Allow}.");
    }

    private sealed class Candidate
    {
        private readonly TemplateMatcher _matcher;
        private readonly List<(string Name, IRouteConstraint Constraint)> _constraints;

        public Candidate(RouteEndpoint endpoint, ParameterPolicyFactory policies)
        {
            var pattern = endpoint.RoutePattern;
            _matcher = new(new RouteTemplate(pattern), new RouteValueDictionary(pattern.Defaults));
            _constraints = [.. pattern.Parameters.SelectMany(
                parameter => parameter.ParameterPolicies, (parameter, policy) => (parameter.Name, Constraint: Create(parameter, policy)!))
                .Where(entry => entry.Constraint is not null)];
            Methods = endpoint.Metadata.GetMetadata<IHttpMethodMetadata>()!.HttpMethods;
            ContentTypes = endpoint.Metadata.GetMetadata<IAcceptsMetadata>()?.ContentTypes ?? [];

            IRouteConstraint? Create(RoutePatternParameterPart parameter, RoutePatternParameterPolicyReference policy) =>
                policies.Create(parameter, policy) as IRouteConstraint;
        }

        public IReadOnlyList<string> Methods { get; }

        public IReadOnlyList<string> ContentTypes { get; }

        public bool Matches(HttpContext context)
        {
            var values = new RouteValueDictionary();
            return _matcher.TryMatch(context.Request.Path, values)
                && _constraints.TrueForAll(
                    entry => entry.Constraint.Match(context, null, entry.Name, values, RouteDirection.IncomingRequest));
        }
    }
}
