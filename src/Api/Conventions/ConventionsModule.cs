using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using WebVm.Api.Conventions.Description;

namespace WebVm.Api.Conventions;

/// <summary>What is the same for all resources: problems, JSON, the description of the API.</summary>
internal static class ConventionsModule
{
    public static void AddConventions(this IServiceCollection services)
    {
        services.AddProblemDetails(problems => problems.CustomizeProblemDetails = Problems.Complete);
        services.AddSingleton<UnmatchedRequest>();
        services.Configure<RouteHandlerOptions>(routes => routes.ThrowOnBadRequest = true);
        services.ConfigureHttpJsonOptions(json => ApiJson.Configure(json.SerializerOptions));
        services.AddOpenApi("v1", openApi =>
        {
            openApi.OpenApiVersion = Microsoft.OpenApi.OpenApiSpecVersion.OpenApi3_1;
            openApi.AddOperationTransformer<DescribedOperation>();
            openApi.AddDocumentTransformer<DescribedApi>();
        });
        services.Configure<FormOptions>(form => form.ValueLengthLimit = 1 << 20);
    }
}
