using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using Xunit;

namespace WebVm.Api.Tests.Conventions;

/// <summary>What every endpoint does alike. Each test walks all of them.</summary>
public sealed class ConventionTests(SharedService shared)
{
    // Methods that some path may have.
    private static readonly HttpMethod[] s_methods = [HttpMethod.Get, HttpMethod.Head, HttpMethod.Post, HttpMethod.Put, HttpMethod.Patch,
        HttpMethod.Delete];

    [Fact]
    public async Task Every_path_names_its_methods_to_who_uses_another()
    {
        int walked = 0;
        foreach (var path in (await DescribedEndpoint.AllAsync(shared.Client)).GroupBy(endpoint => endpoint.Template))
        {
            string[] allowed = [.. path.Select(endpoint => endpoint.Method.Method)
                .Concat(path.Any(endpoint => endpoint.Method == HttpMethod.Get) ? ["HEAD"] : []).Append("OPTIONS").Distinct()
                    .Order(StringComparer.Ordinal)];
            foreach (var method in s_methods.Append(HttpMethod.Options)
                .Where(method => method == HttpMethod.Options || !allowed.Contains(method.Method)))
            {
                using var answer = await SendAsync(method, path.First().Path, null);
                Assert.True(
                    answer.StatusCode == (method == HttpMethod.Options ? HttpStatusCode.NoContent : HttpStatusCode.MethodNotAllowed),
                    $"{method} {path.Key} answered {(int)answer.StatusCode}.");
                Assert.Equal(allowed, answer.Content.Headers.Allow.Order(StringComparer.Ordinal));
                walked++;
            }
        }

        Assert.True(walked > 100, $"Only {walked} were tried.");
    }

    [Fact]
    public async Task Every_path_that_is_read_answers_HEAD_with_the_same_status_and_no_body()
    {
        foreach (var endpoint in (await DescribedEndpoint.AllAsync(shared.Client)).Where(endpoint => endpoint.Method == HttpMethod.Get))
        {
            using var read = await shared.Client.GetAsync(endpoint.Path, HttpCompletionOption.ResponseHeadersRead, Rest.Cancellation);
            using var head = await SendAsync(HttpMethod.Head, endpoint.Path, null);
            Assert.True(read.StatusCode == head.StatusCode, $"{endpoint.Name}: {(int)read.StatusCode}, and HEAD {(int)head.StatusCode}.");
            Assert.Equal(read.Content.Headers.ContentType?.MediaType, head.Content.Headers.ContentType?.MediaType);
            Assert.Empty(await head.Content.ReadAsByteArrayAsync(Rest.Cancellation));
        }
    }

    [Theory]
    [InlineData("text/plain", HttpStatusCode.UnsupportedMediaType)]
    [InlineData("application/x-www-form-urlencoded", HttpStatusCode.UnsupportedMediaType)]
    [InlineData(null, HttpStatusCode.UnsupportedMediaType)]
    [InlineData("application/json; charset=latin9", HttpStatusCode.UnsupportedMediaType)]
    [InlineData("application/json; charset=utf-16", HttpStatusCode.UnsupportedMediaType)]
    [InlineData("application/json; charset=\"utf-8\"", HttpStatusCode.UnprocessableEntity)]
    [InlineData("application/json; charset=UTF-8", HttpStatusCode.UnprocessableEntity)]
    public async Task Every_body_is_read_by_its_content_type(string? type, HttpStatusCode expected)
    {
        int walked = 0;
        foreach (var endpoint in (await DescribedEndpoint.AllAsync(shared.Client)).Where(
            endpoint => endpoint.BodyType is not null && !endpoint.IsCounted))
        {
            var content = new ByteArrayContent("""{"noSuchField":1}"""u8.ToArray());
            content.Headers.TryAddWithoutValidation("Content-Type", type);
            using var answer = await SendAsync(endpoint.Method, endpoint.Path, content);
            Assert.True(
                answer.StatusCode == expected
                    || (expected == HttpStatusCode.UnprocessableEntity && endpoint.BodyType!.Contains("merge", StringComparison.Ordinal)),
                $"{endpoint.Name} answered {(int)answer.StatusCode} to {type}.");
            Assert.True(expected != HttpStatusCode.UnsupportedMediaType || answer.Headers.Contains("Accept"), endpoint.Name);
            walked++;
        }

        Assert.True(walked > 10, $"Only {walked} endpoints were found.");
    }

    [Fact]
    public async Task Every_body_that_is_no_JSON_is_told_where_it_stops_to_be()
    {
        foreach (var endpoint in (await DescribedEndpoint.AllAsync(shared.Client)).Where(
            endpoint => endpoint.BodyType is not null && !endpoint.IsCounted))
        {
            var (status, problem, _) = await shared.Client.SendAsync(endpoint.Method, endpoint.Path, "{\"name\":\n  oops}");
            Assert.True(status == HttpStatusCode.UnprocessableEntity, $"{endpoint.Name} answered {(int)status}.");
            Assert.Equal("The body is not JSON at line 2, column 3.", (string)problem!["detail"]!);
            Assert.Equal((2, 3), ((int)problem["errors"]![0]!["line"]!, (int)problem["errors"]![0]!["column"]!));
        }
    }

    [Fact]
    public async Task Every_field_of_every_body_that_is_of_the_wrong_form_is_named_with_all_others_that_are()
    {
        var document = await DescribedEndpoint.DocumentAsync(shared.Client);
        int walked = 0;
        foreach (var endpoint in DescribedEndpoint.All(document)
            .Where(endpoint => endpoint.BodyType == "application/json" && !endpoint.IsCounted))
        {
            // An array with an array in it is none of the API's forms, nor is anything in one.
            string[] fields = [.. endpoint.BodySchema(document)["properties"]!.AsObject().Select(property => property.Key)];
            var body = new JsonObject(
                fields.Select(
                    field => KeyValuePair.Create<string, JsonNode?>(field, new JsonArray(new JsonArray())))) { ["noSuchField"] = 1 };
            var (status, problem, _) = await shared.Client.SendAsync(endpoint.Method, endpoint.Path, body.ToJsonString());
            Assert.True(status == HttpStatusCode.UnprocessableEntity, $"{endpoint.Name} answered {(int)status}.");
            string[] named = [.. Rest.Pointers(problem).Select(pointer => pointer.Split('/')[1]).Distinct()];
            Assert.Equal(fields.Append("noSuchField").Order(StringComparer.Ordinal), named.Order(StringComparer.Ordinal));
            walked += fields.Length;
        }

        Assert.True(walked > 30, $"Only {walked} fields were tried.");
    }

    [Fact]
    public async Task Every_required_field_that_is_missing_is_named_beside_an_unknown_one()
    {
        var document = await DescribedEndpoint.DocumentAsync(shared.Client);
        int walked = 0;
        foreach (var endpoint in DescribedEndpoint.All(document)
            .Where(endpoint => endpoint.BodyType == "application/json" && !endpoint.IsCounted))
        {
            string[] required = [.. endpoint.BodySchema(document)["required"]?.AsArray().Select(field => (string)field!) ?? []];
            var (_, problem, _) = await shared.Client.SendAsync(endpoint.Method, endpoint.Path, """{"noSuchField":1}""");
            string[] wanted = [.. required.Select(field => "/" + field), "/noSuchField"];
            Assert.Empty(wanted.Except(Rest.Pointers(problem)));
            // Beside these only what is wanted because something else is not there.
            Assert.All(
                problem!["errors"]!.AsArray().Where(fault => !wanted.Contains((string)fault!["pointer"]!)),
                fault => Assert.StartsWith("is required", (string)fault!["message"]!, StringComparison.Ordinal));
            walked += required.Length;
        }

        Assert.True(walked > 8, $"Only {walked} fields were tried.");
    }

    [Fact]
    public async Task Every_endpoint_refuses_query_parameters_that_it_does_not_know()
    {
        foreach (var endpoint in (await DescribedEndpoint.AllAsync(shared.Client)).Where(endpoint => !endpoint.IsCounted))
        {
            using var answer = await SendAsync(
                endpoint.Method, endpoint.Path + "?noSuchParameter=1",
                endpoint.BodyType is null ? null : new StringContent("{}", Encoding.UTF8, "application/json"));
            Assert.True(answer.StatusCode == HttpStatusCode.UnprocessableEntity, $"{endpoint.Name} answered {(int)answer.StatusCode}.");
            if (endpoint.Method != HttpMethod.Head)
            {
                Assert.Equal(
                    ["?noSuchParameter"], Rest.Pointers(JsonNode.Parse(await answer.Content.ReadAsStringAsync(Rest.Cancellation))));
            }
        }
    }

    [Fact]
    public async Task Every_query_parameter_that_is_no_text_is_refused_by_name_when_it_is_of_the_wrong_form()
    {
        int walked = 0;
        foreach (var endpoint in await DescribedEndpoint.AllAsync(shared.Client))
        {
            string[] typed = [.. endpoint.Parameters.Where(
                parameter => (string)parameter["in"]! == "query" && IsTyped(parameter["schema"]!))
                .Select(parameter => (string)parameter["name"]!)];
            if (typed.Length == 0)
            {
                continue;
            }

            var (status, problem, _) = await shared.Client.SendAsync(
                endpoint.Method, endpoint.Path + "?" + string.Join('&', typed.Select(name => name + "=_")),
                endpoint.BodyType is null ? null : "{}");
            Assert.True(status == HttpStatusCode.UnprocessableEntity, $"{endpoint.Name} answered {(int)status}.");
            Assert.Equal(typed.Select(name => "?" + name), Rest.Pointers(problem));
            walked += typed.Length;
        }

        Assert.True(walked > 15, $"Only {walked} parameters were tried.");

        static bool IsTyped(JsonNode schema) =>
            (string)schema["type"]! is "integer" or "boolean" || schema["enum"] is not null || schema["format"] is not null
                || schema["items"]?["enum"] is not null;
    }

    [Fact]
    public async Task Every_stranger_is_told_how_to_sign_in_and_everyone_else_what_is_missing()
    {
        using var stranger = new HttpClient { BaseAddress = shared.Service.Address };
        using var wrong = Bearer("wvm_wrong");
        var (_, token, _) = await shared.Client.SendAsync(
            HttpMethod.Post, "/api/v1/tokens", new { name = Rest.NewName(), scopes = Array.Empty<string>() });
        using var powerless = Bearer((string)token!["token"]!);
        foreach (var endpoint in (await DescribedEndpoint.AllAsync(shared.Client)).Where(
            endpoint => endpoint.Method != HttpMethod.Head && endpoint.Description["security"] is JsonArray { Count: > 0 }))
        {
            var (status, problem, headers) = await stranger.SendAsync(endpoint.Method, endpoint.Path);
            Assert.Equal((HttpStatusCode.Unauthorized, "urn:webvm:problem:unauthenticated"), (status, (string)problem!["type"]!));
            Assert.Equal("Bearer realm=\"webvm\"", headers.WwwAuthenticate.Single().ToString());
            if (endpoint.Description["security"]!.AsArray().Select(one => one!["token"]?.AsArray())
                .FirstOrDefault(scopes => scopes is { Count: > 0 }) is { } wanted)
            {
                (status, problem, headers) = await powerless.SendAsync(
                    endpoint.Method, endpoint.Path, endpoint.BodyType is null ? null : "{}");
                Assert.Equal((HttpStatusCode.Forbidden, "urn:webvm:problem:forbidden"), (status, (string)problem!["type"]!));
                Assert.Contains(
                    $"error=\"insufficient_scope\", scope=\"{wanted[0]}\"", headers.WwwAuthenticate.Single().ToString(),
                    StringComparison.Ordinal);
            }
        }

        var (refused, _, why) = await wrong.SendAsync(HttpMethod.Get, "/api/v1/vms");
        Assert.Equal(HttpStatusCode.Unauthorized, refused);
        Assert.Contains("error=\"invalid_token\"", why.WwwAuthenticate.Single().ToString(), StringComparison.Ordinal);
    }

    private HttpClient Bearer(string token)
    {
        var client = new HttpClient { BaseAddress = shared.Service.Address };
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        return client;
    }

    private async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, HttpContent? content)
    {
        using var request = new HttpRequestMessage(method, path) { Content = content };
        return await shared.Client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Rest.Cancellation);
    }
}
