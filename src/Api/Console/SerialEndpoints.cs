using System.Buffers;
using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Routing;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Hosting;
using WebVm.Api.Conventions;
using WebVm.Api.Identity;
using WebVm.Api.Persistence;
using WebVm.Api.Runs;
using WebVm.Vmm.Control;

namespace WebVm.Api.Console;

/// <summary><c>/vms/{id}/serial</c>: the persistent log of the serial port, and bytes to it.</summary>
public static class SerialEndpoints
{
    /// <summary>Offset of the first byte of the answer, and of the byte behind the log's newest.</summary>
    public const string OffsetHeader = "Serial-Offset";
    public const string EndHeader = "Serial-End";

    private const int ChunkBytes = 64 * 1024;
    private const int MostInputBytes = 64 * 1024;
    private static readonly TimeSpan InputPatience = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan InputRetry = TimeSpan.FromMilliseconds(20);

    public static void MapSerial(this IEndpointRouteBuilder api)
    {
        var group = api.MapGroup("/vms/{id:guid}/serial").WithTags("Console");
        group.MapGet("/", ReadAsync).RequireScope(Scopes.ConsoleView).WithSummary("Read the serial log")
            .WithDescription(
                "?offset= counts from the VM's first byte; a negative one counts from the end. ?limit= bounds the bytes. ?follow=true "
                + "goes on with new output until the client leaves; a user follows 50 at most. The log keeps the newest 16 MiB.")
            .WithMetadata(
                new AnswerHeader(OffsetHeader, "Offset of the answer's first byte."),
                new AnswerHeader(EndHeader, "Offset of the byte behind the log's newest."))
            .Produces<string>(200, "text/plain").ProducesProblem(StatusCodes.Status404NotFound)
                .ProducesProblem(StatusCodes.Status422UnprocessableEntity).ProducesProblem(StatusCodes.Status429TooManyRequests);
        group.MapPost("/", WriteAsync).RequireScope(Scopes.ConsoleControl).WithSummary("Send bytes to the serial port")
            .WithDescription(
                "The body is sent as it is, whatever its content type. 409 when the guest does not read it within ten seconds.")
            .ProducesInput().ProducesProblem(StatusCodes.Status413PayloadTooLarge);
    }

    private static async Task<IResult> ReadAsync(
        Guid id, HttpContext context, WebVmDbContext database, VmSupervisor supervisor, StreamLimits limits,
        IHostApplicationLifetime lifetime, [Description("Counts from the VM's first byte; a negative one counts from the end.")] long? offset,
        [Range(0, long.MaxValue), Description("Bytes at most.")] long? limit,
        [Description("Goes on with new output until the client leaves.")] bool? follow, CancellationToken cancellation)
    {
        if (!await database.Vms.AnyAsync(vm => vm.Id == id, cancellation))
        {
            return Problems.NotFound("VM", id);
        }

        using var stream = follow == true ? limits.TryOpen(context.User, StreamKind.Serial) : null;
        if (follow == true && stream is null)
        {
            return StreamLimits.Refuse(context.Response);
        }

        using var lease = supervisor.Use(id);
        try
        {
            return await AnswerAsync(
                context, lease.Agent.Serial, lifetime, offset, limit, follow == true && !HttpMethods.IsHead(context.Request.Method),
                cancellation);
        }
        catch (ObjectDisposedException) when (!context.Response.HasStarted)
        {
            return Problems.NotFound("VM", id);
        }
    }

    private static async Task<IResult> AnswerAsync(
        HttpContext context, SerialJournal journal, IHostApplicationLifetime lifetime, long? offset, long? limit, bool follow,
        CancellationToken cancellation)
    {
        long position = offset switch
        {
            null => journal.First,
            < 0 => Math.Max(journal.First, journal.End + offset.Value),
            _ => Math.Clamp(offset.Value, journal.First, journal.End),
        };
        context.Response.Headers[OffsetHeader] = position.ToString(null, null);
        context.Response.Headers[EndHeader] = journal.End.ToString(null, null);
        // Never text/html, never sniffed: what a guest prints is nobody's page.
        context.Response.ContentType = "text/plain; charset=utf-8";
        context.Response.Headers.CacheControl = "no-store";
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellation, lifetime.ApplicationStopping);
        await CopyAsync(context, journal, position, limit ?? long.MaxValue, follow, over.Token);
        return Results.Empty;
    }

    private static async Task CopyAsync(
        HttpContext context, SerialJournal journal, long position, long left, bool follow, CancellationToken cancellation)
    {
        if (follow)
        {
            context.Response.Headers["X-Accel-Buffering"] = "no";
            context.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
        }

        byte[] buffer = ArrayPool<byte>.Shared.Rent(ChunkBytes);
        try
        {
            while (left > 0)
            {
                var grown = journal.Grown;
                int count = journal.Read(ref position, buffer.AsSpan(0, (int)Math.Min(left, ChunkBytes)));
                if (count > 0)
                {
                    await context.Response.Body.WriteAsync(buffer.AsMemory(0, count), cancellation);
                    position += count;
                    left -= count;
                }
                else if (follow)
                {
                    await context.Response.Body.FlushAsync(cancellation);
                    await grown.WaitAsync(cancellation);
                }
                else
                {
                    return;
                }
            }
        }
        catch (Exception over) when (over is OperationCanceledException or ObjectDisposedException)
        {
            // The client left, the service stops, or the VM was deleted.
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private static async Task<IResult> WriteAsync(
        Guid id, HttpContext context, VmSupervisor supervisor, WebVmDbContext database, CancellationToken cancellation)
    {
        if (!await database.Vms.AnyAsync(vm => vm.Id == id, cancellation))
        {
            return Problems.NotFound("VM", id);
        }

        using var body = new MemoryStream();
        byte[] buffer = new byte[4096];
        int read;
        while ((read = await context.Request.Body.ReadAsync(buffer, cancellation)) > 0)
        {
            if (body.Length + read > MostInputBytes)
            {
                return Problems.Create(ProblemTypes.TooLarge, $"At most {MostInputBytes} bytes at once.");
            }

            body.Write(buffer, 0, read);
        }

        return await MonitorCalls.TryAsync(supervisor.Client(id), async client =>
        {
            byte[] rest = body.ToArray();
            var deadline = DateTimeOffset.UtcNow + InputPatience;
            while (rest.Length > 0)
            {
                // The guest reads at its own speed; what its port cannot take yet waits here.
                int taken = await client.WriteSerialAsync(rest[..Math.Min(rest.Length, ControlProtocol.MaximumSerialChunk)]);
                rest = rest[taken..];
                if (rest.Length > 0 && taken == 0)
                {
                    if (DateTimeOffset.UtcNow > deadline)
                    {
                        return Problems.Conflict($"The guest does not read its serial port; {rest.Length} bytes were not taken.");
                    }

                    await Task.Delay(InputRetry, cancellation);
                }
            }

            return TypedResults.NoContent();
        });
    }
}
