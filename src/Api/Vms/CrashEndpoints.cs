using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Conventions;
using WebVm.Api.Events;
using WebVm.Api.Identity;
using WebVm.Api.Persistence;
using WebVm.Api.Runs;

namespace WebVm.Api.Vms;

/// <summary>
/// <c>/vms/{id}/last-crash</c>: what is left of the run that crashed last. That there was one, and why, the VM itself says.
/// </summary>
internal static class CrashEndpoints
{
    public static void MapCrashes(this IEndpointRouteBuilder api)
    {
        var group = api.MapGroup("/vms/{id:guid}/last-crash").WithTags("VMs");
        group.MapGet("/screen", ScreenAsync).RequireScope(Scopes.ConsoleView)
            .WithSummary("The screen in the moment of the last crash, as a PNG file")
            .Produces<Stream>(200, "image/png").ProducesProblem(StatusCodes.Status404NotFound);
        group.MapGet("/serial", SerialAsync).RequireScope(Scopes.ConsoleView)
            .WithSummary("The end of the serial output before the last crash")
            .WithDescription("64 KiB at most. lastCrash.serialEnd says where it ends in the VM's serial log.")
            .Produces<string>(200, "text/plain").ProducesProblem(StatusCodes.Status404NotFound);
        group.MapDelete("/", ForgetAsync).RequireScope(Scopes.VmsWrite).WithSummary("Forget the last crash")
            .Produces(StatusCodes.Status204NoContent).ProducesProblem(StatusCodes.Status404NotFound);
    }

    private static Task<IResult> ScreenAsync(
        Guid id, HttpContext context, WebVmDbContext database, VmFiles files, CancellationToken cancellation) =>
        SendAsync(id, CrashReport.Screen(files.Crash(id)), "image/png", context, database, cancellation);

    // Never text/html, never sniffed: what a guest prints is nobody's page.
    private static Task<IResult> SerialAsync(
        Guid id, HttpContext context, WebVmDbContext database, VmFiles files, CancellationToken cancellation) =>
        SendAsync(id, CrashReport.Serial(files.Crash(id)), "text/plain; charset=utf-8", context, database, cancellation);

    private static async Task<IResult> SendAsync(
        Guid id, string file, string type, HttpContext context, WebVmDbContext database, CancellationToken cancellation)
    {
        if (await database.Vms.AsNoTracking().SingleOrDefaultAsync(vm => vm.Id == id, cancellation) is not { } vm)
        {
            return Problems.NotFound("VM", id);
        }

        if (vm.LastCrash is null || !File.Exists(file))
        {
            return Problems.Create(ProblemTypes.NotFound, "Nothing of that kind is kept of a crash of this VM.");
        }

        context.Response.Headers.CacheControl = "private, no-cache";
        return TypedResults.PhysicalFile(file, type, lastModified: vm.LastCrash.At);
    }

    private static async Task<IResult> ForgetAsync(Guid id, WebVmDbContext database, VmFiles files, CancellationToken cancellation)
    {
        bool found = await database.InTransactionAsync(
            async () =>
            {
                if (await database.LockVmAsync(id, cancellation) is not { } vm)
                {
                    return false;
                }

                if (vm.LastCrash is not null)
                {
                    vm.LastCrash = null;
                    database.Record("vm.changed", vm, $"The last crash of {vm.Name} is forgotten");
                }

                return true;
            },
            cancellation);
        if (!found)
        {
            return Problems.NotFound("VM", id);
        }

        StateFolder.Delete(files.Crash(id));
        return TypedResults.NoContent();
    }
}
