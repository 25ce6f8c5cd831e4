using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using System.Security.Claims;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Microsoft.EntityFrameworkCore;
using Microsoft.Net.Http.Headers;
using WebVm.Api.Console.Keyboard;
using WebVm.Api.Conventions;
using WebVm.Api.Identity;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;
using WebVm.Api.Runs;
using WebVm.Vmm.Devices.Input;
using WebVm.Vmm.Keys;

namespace WebVm.Api.Console;

/// <summary>Screen and keyboard of a VM by plain requests, and tickets for the console hub.</summary>
public static class ConsoleEndpoints
{
    public const string HubPath = "/hubs/console";

    private const int NarrowestScreenshot = 16;
    private const int WidestScreenshot = 4096;

    // Of a hash: enough that two pictures never share a tag.
    private const int TagBytes = 16;

    public static void MapConsole(this IEndpointRouteBuilder api)
    {
        var group = api.MapGroup("/vms/{id:guid}").WithTags("Console");
        group.MapPost("/console", OpenAsync).RequireScope(Scopes.ConsoleView)
            .WithSummary("Make a short-lived console session for a browser")
            .WithDescription("Connect a SignalR client (MessagePack) to the hub with ?access_token=ticket within two minutes.");
        group.MapGet("/screenshot", ScreenshotAsync).RequireScope(Scopes.ConsoleView).WithSummary("The screen as a PNG file")
            .WithDescription(
                "?width= scales a wider screen down to so many pixels a line. The ETag is of the picture: If-None-Match is answered "
                + "304 while nothing on the screen has changed.")
            .WithMetadata(Revalidated.Instance).Produces<Stream>(200, "image/png").ProducesProblem(StatusCodes.Status404NotFound)
                .ProducesProblem(StatusCodes.Status409Conflict);
        group.MapPost("/keys", KeysAsync).RequireScope(Scopes.ConsoleControl).Idempotent()
            .WithSummary("Press keys and chords, such as enter, ctrl-alt-delete").ProducesInput();
        group.MapPost("/text", TextAsync).RequireScope(Scopes.ConsoleControl).Idempotent()
            .WithSummary("Type text on the keyboard, by the guest's layout").ProducesInput();
        api.MapGet("/keyboard-layouts", Layouts).RequireScope(Scopes.ConsoleView).WithTags("Console")
            .WithSummary("The layouts that text can be typed with");
    }

    /// <summary>Describes an endpoint that gives a guest what somebody typed.</summary>
    internal static RouteHandlerBuilder ProducesInput(this RouteHandlerBuilder endpoint) => endpoint
        .Produces(StatusCodes.Status204NoContent)
        .ProducesProblem(StatusCodes.Status404NotFound)
        .ProducesProblem(StatusCodes.Status409Conflict)
        .ProducesProblem(StatusCodes.Status422UnprocessableEntity);

    private static async Task<Results<Ok<ConsoleSessionView>, ProblemHttpResult>> OpenAsync(
        Guid id, HttpContext context, WebVmDbContext database, ConsoleTickets tickets, TimeProvider time, CancellationToken cancellation)
    {
        if (!await database.Vms.AnyAsync(vm => vm.Id == id, cancellation))
        {
            return Problems.NotFound("VM", id);
        }

        var caller = context.User;
        string[] scopes = [.. new[] { Scopes.ConsoleView, Scopes.ConsoleControl }.Where(caller.Has)];
        var role = Enum.TryParse<Role>(caller.FindFirstValue(ClaimTypes.Role), out var parsed) ? parsed : Role.Viewer;
        string ticket = tickets.Create(
            new ConsoleTickets.Ticket(id, caller.UserId(), caller.Actor(), role, scopes, Right.KeyOf(caller)?.ToString()));
        context.Response.Headers.CacheControl = "no-store";
        return TypedResults.Ok(
            new ConsoleSessionView(HubPath, ticket, time.GetUtcNow() + ConsoleTickets.Lifetime, scopes.Contains(Scopes.ConsoleControl)));
    }

    private static async Task<IResult> ScreenshotAsync(
        Guid id, [Range(NarrowestScreenshot, WidestScreenshot), Description("Dots a line that a wider screen is scaled down to.")] int? width,
        HttpContext context, WebVmDbContext database, VmSupervisor supervisor, CancellationToken cancellation)
    {
        if (!await database.Vms.AnyAsync(vm => vm.Id == id, cancellation))
        {
            return Problems.NotFound("VM", id);
        }

        // Kept by the browser alone, and asked for again each time.
        context.Response.Headers.CacheControl = "private, no-cache";
        return await MonitorCalls.TryAsync(supervisor.Client(id), async client =>
        {
            // Pictures are as large as the monitor says, and stay until the client has read them.
            context.Response.RegisterForDispose(await client.PictureTurnAsync(cancellation));
            byte[] png = await client.ScreenshotAsync(width);
            return TypedResults.Bytes(
                png, "image/png", entityTag: new EntityTagHeaderValue(
                    $"\"{Convert.ToHexStringLower(SHA256.HashData(png).AsSpan(0, TagBytes))}\""));
        });
    }

    private static async Task<IResult> KeysAsync(
        Guid id, Body<SendKeys> body, WebVmDbContext database, VmSupervisor supervisor, CancellationToken cancellation)
    {
        var request = body.Value;
        if (!await database.Vms.AnyAsync(vm => vm.Id == id, cancellation))
        {
            return Problems.NotFound("VM", id);
        }

        return await MonitorCalls.TryAsync(supervisor.Client(id), async client =>
        {
            int taken = await client.SendKeysAsync(request.Keys);
            return taken == request.Keys.Count
                ? TypedResults.NoContent()
                : Problems.Conflict($"The guest does not listen to its keyboard; it took {taken} of {request.Keys.Count}.");
        });
    }

    private static async Task<IResult> TextAsync(
        Guid id, Body<SendText> body, WebVmDbContext database, VmSupervisor supervisor, CancellationToken cancellation)
    {
        var request = body.Value;
        var layout = KeyboardLayout.Find(request.Layout)!;
        if (!await database.Vms.AnyAsync(vm => vm.Id == id, cancellation))
        {
            return Problems.NotFound("VM", id);
        }

        return await MonitorCalls.TryAsync(supervisor.Client(id), async client =>
            await Typist.TypeAsync(client, request.Text, layout, cancellation)
                ? TypedResults.NoContent()
                : Problems.Conflict("The guest does not listen to its keyboard."));
    }

    private static Ok<Page<KeyboardLayoutView>> Layouts() =>
        TypedResults.Ok(
            new Page<KeyboardLayoutView>(
                [.. KeyboardLayout.All.Select(layout => new KeyboardLayoutView(layout.Name, layout.Title))], null));
}

/// <param name="Ticket">The hub's access token.</param>
public sealed record ConsoleSessionView(string Hub, string Ticket, DateTimeOffset ExpiresAt, bool MayControl);

/// <param name="Keys">Keys or chords, pressed in turn.</param>
public sealed record SendKeys(IReadOnlyList<string> Keys) : ICheckedBody
{
    private const int Most = 256;

    ValueTask ICheckedBody.CheckAsync(BodyCheck check)
    {
        check.Add(Keys.Select((keys, index) => (keys, index)).Where(entry => !KeyNames.TryParseCombination(entry.keys, out _))
            .Select(entry => new FieldFault($"/keys/{entry.index}", "is no key or chord such as \"a\", \"enter\" or \"ctrl-alt-delete\"")));
        check.Add(Keys.Count is 0 or > Most ? [new("/keys", $"must have 1 to {Most} entries")] : []);
        return ValueTask.CompletedTask;
    }
}

/// <param name="Layout">The keyboard layout that the guest is set to.</param>
public sealed record SendText(string Text, string Layout = "us") : ICheckedBody
{
    ValueTask ICheckedBody.CheckAsync(BodyCheck check)
    {
        var layout = KeyboardLayout.Find(Layout);
        check.Add(
            layout is null ? [new("/layout", $"must be one of {string.Join(", ", KeyboardLayout.All.Select(known => known.Name))}")] : []);
        check.Add(Text.Length is 0 or > Typist.LongestText ? [new("/text", $"must have 1 to {Typist.LongestText} characters")] : []);
        string missing = layout is null || Text.Length > Typist.LongestText ? "" : Typist.Missing(Text, layout);
        check.Add(missing.Length > 0 ? [new("/text", $"has characters that the layout \"{layout!.Name}\" cannot type: {missing}")] : []);
        return ValueTask.CompletedTask;
    }
}

public sealed record KeyboardLayoutView(string Name, string Title);
