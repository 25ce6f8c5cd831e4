using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Reflection;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Metadata;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.Primitives;

namespace WebVm.Api.Conventions;

/// <summary>A query parameter that an endpoint takes: declared by its method's parameter, or by this among its metadata.</summary>
/// <param name="Type">What its text is: string, a number, bool, Guid or <see cref="Choice{T}"/>.</param>
/// <param name="Many">Whether it may be repeated.</param>
public sealed record QueryParameter(
    string Name, Type Type, string? Description = null, bool Many = false, long? Least = null, long? Most = null,
    IReadOnlyList<string>? Values = null)
{
    private static readonly MethodInfo s_parses = typeof(QueryParameter).GetMethod(
        nameof(Parses), BindingFlags.NonPublic | BindingFlags.Static)!;

    private readonly Func<string, bool> _parses = Type == typeof(string)
        ? _ => true
        : s_parses.MakeGenericMethod(Type).CreateDelegate<Func<string, bool>>();

    /// <summary>All that it may be, where that is a list.</summary>
    public IReadOnlyList<string>? Choices { get; } =
        Values ?? (Type.IsGenericType
            ? [.. Enum.GetNames(Type.GenericTypeArguments[0]).Select(JsonNamingPolicy.CamelCase.ConvertName)]
            : null);

    /// <summary>Null when all is well.</summary>
    public FieldFault? Check(StringValues given)
    {
        if (given.Count > 1 && !Many)
        {
            return new("?" + Name, "is given more than once");
        }

        return given.All(IsFine) ? null : new("?" + Name, "must be " + Form);
    }

    private string Form =>
        Choices is not null ? "one of " + string.Join(", ", Choices)
        : Type == typeof(bool) ? "true or false"
        : Type == typeof(Guid) ? "a UUID"
        : (Least, Most) switch
        {
            (null, null) => "a whole number",
            ({ } least, null) => $"a whole number of at least {least}",
            var (least, most) => $"a whole number between {least} and {most}",
        };

    private bool IsFine(string? text) =>
        Values is not null ? Values.Contains(text, StringComparer.Ordinal)
        : _parses(text ?? "")
            && ((Least is null && Most is null)
                || (long.Parse(text!, CultureInfo.InvariantCulture) is var number && number >= (Least ?? long.MinValue)
                    && number <= (Most ?? long.MaxValue)));

    private static bool Parses<T>(string text)
        where T : IParsable<T> => T.TryParse(text, CultureInfo.InvariantCulture, out _);
}

/// <summary>
/// The query parameters that an endpoint takes. All others are refused, as unknown fields of a body are; every wrong one is named at once.
/// </summary>
internal sealed class QueryRules(IReadOnlyList<QueryParameter> parameters)
{
    public IReadOnlyList<QueryParameter> Parameters => parameters;

    /// <summary>Puts the rules among an endpoint's metadata.</summary>
    public static void AddTo(EndpointBuilder builder)
    {
        if (builder is not RouteEndpointBuilder route || builder.Metadata.OfType<MethodInfo>().FirstOrDefault() is not { } method)
        {
            return;
        }

        var declared = builder.Metadata.OfType<QueryParameter>().ToList();
        var taken = method.GetParameters().Where(parameter => IsQuery(parameter, route)).Select(From)
            .Where(parameter => !declared.Exists(other => other.Name == parameter.Name)).ToList();
        var fields = Answers.Type(builder) is not null ? (QueryParameter[])[Answers.FieldsParameter] : [];
        builder.Metadata.Add(new QueryRules([.. taken, .. declared, .. fields]));
    }

    public static void Use(IApplicationBuilder app) => app.Use((context, next) =>
        context.GetEndpoint()?.Metadata.GetMetadata<QueryRules>()?.Check(context.Request.Query) is { Count: > 0 } faults
            ? Problems.Invalid(faults).ExecuteAsync(context)
            : next(context));

    private List<FieldFault>? Check(IQueryCollection query)
    {
        List<FieldFault>? faults = null;
        foreach (var (name, given) in query)
        {
            var known = parameters.FirstOrDefault(parameter => parameter.Name.Equals(name, StringComparison.OrdinalIgnoreCase));
            var fault = known is null ? new FieldFault("?" + name, "is not a known parameter") : known.Check(given);
            if (fault is not null)
            {
                (faults ??= []).Add(fault);
            }
        }

        return faults;
    }

    private static bool IsQuery(ParameterInfo parameter, RouteEndpointBuilder route)
    {
        var type = Element(parameter.ParameterType);
        return route.RoutePattern.GetParameter(parameter.Name!) is null
            && !parameter.GetCustomAttributes().OfType<IFromHeaderMetadata>().Any()
            && (type == typeof(string)
                || type.GetInterfaces().Any(one => one.IsGenericType && one.GetGenericTypeDefinition() == typeof(IParsable<>)));
    }

    private static QueryParameter From(ParameterInfo parameter)
    {
        var range = parameter.GetCustomAttribute<RangeAttribute>();
        return new(
            parameter.Name!, Element(parameter.ParameterType),
            parameter.GetCustomAttribute<System.ComponentModel.DescriptionAttribute>()?.Description, parameter.ParameterType.IsArray,
            Bound(range?.Minimum), Bound(range?.Maximum));
    }

    /// <summary>Null for no bound: a double stands for the largest number of 64 bits by the one behind it.</summary>
    private static long? Bound(object? bound) => bound switch
    {
        int whole => whole,
        double number when Math.Abs(number) < long.MaxValue => (long)number,
        _ => null,
    };

    private static Type Element(Type type)
    {
        var element = type.IsArray ? type.GetElementType()! : type;
        return Nullable.GetUnderlyingType(element) ?? element;
    }
}
