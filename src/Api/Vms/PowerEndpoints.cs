using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Conventions;
using WebVm.Api.Identity;
using WebVm.Api.Operations;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Vms;

/// <summary><c>/vms/{id}/power</c>: on, off and what lies between.</summary>
public static class PowerEndpoints
{
    public const int DefaultDeadline = 60;
    public const int LongestDeadline = 3600;

    public static void MapPower(this IEndpointRouteBuilder api)
    {
        var group = api.MapGroup("/vms/{id:guid}/power").WithTags("Power");
        group.MapGet("/", GetAsync).RequireScope(Scopes.VmsRead).WithSummary("Read where a VM's power stands");
        group.MapPut("/", PutAsync).RequireScope(Scopes.VmsPower).Conditional()
            .WithSummary("Switch on, off, shut down, reset, pause, resume or save")
            .WithDescription(
                "The answer is 202 with an operation; ?wait=seconds holds it until the VM is there. shutdown presses the power button "
                + "and fails when the guest is still up at its deadline; with force it is then switched off. "
                + "429 or 503 when too many operations wait; off is never refused for that: asked for again while it stands, the "
                + "answer is the same operation. If-Match compares the revision of the VM's settings.")
            .ProducesOperation();
    }

    private static async Task<Results<Ok<VmPowerView>, ProblemHttpResult>> GetAsync(
        Guid id, HttpResponse response, WebVmDbContext database, CancellationToken cancellation)
    {
        if (await database.Vms.AsNoTracking().SingleOrDefaultAsync(vm => vm.Id == id, cancellation) is not { } vm)
        {
            return Problems.NotFound("VM", id);
        }

        response.SetETag(vm.Revision);
        return TypedResults.Ok(VmPowerView.From(vm));
    }

    private static Task<IResult> PutAsync(
        Guid id, Body<PowerRequest> body, HttpContext context, WebVmDbContext database, VmCommands commands,
        CancellationToken cancellation) =>
        commands.RunAsync(id, context, vm => CommandAsync(vm, body.Value, context, database, cancellation), cancellation);

    private static async Task<Commanded> CommandAsync(
        Vm vm, PowerRequest request, HttpContext context, WebVmDbContext database, CancellationToken cancellation)
    {
        if (PowerTransition.Refusal(vm, request.Action) is { } refusal)
        {
            return Problems.Conflict(refusal);
        }

        // Whatever else waits, a machine can be switched off; asked for again while it stands, that is the same command.
        bool off = request.Action == PowerAction.Off;
        var standing = off ? await PowerTransition.FindOffAsync(database, vm, cancellation) : null;
        if (standing is { CancelRequested: false })
        {
            return standing;
        }

        if (!(off && standing is null) && await OperationRunner.RefusalAsync(database, context, vm.Id, cancellation) is { } full)
        {
            return full;
        }

        var otherwise = vm.Desired == DesiredPower.Paused ? DesiredPower.Paused : DesiredPower.On;
        if (PowerTransition.Target(request.Action) is { } desired)
        {
            vm.Desired = desired;
            vm.DesiredGeneration++;
            vm.RestartCount = 0;
            vm.RestartAt = null;
        }

        // A crash is history once its owner has seen it and switches the VM off.
        if (request.Action == PowerAction.Off && vm is { RunId: null, Observed: ObservedPower.Crashed or ObservedPower.Failed })
        {
            (vm.Observed, vm.ObservedReason) = (ObservedPower.Off, null);
        }

        var job = new PowerTransition.Job(
            request.Action, request.DeadlineSeconds ?? DefaultDeadline, request.Force, vm.DesiredGeneration, otherwise);
        return OperationRunner.Create(
            database, PowerTransition.OperationKind, $"/api/v1/vms/{vm.Id}/power", vm.Id, context.User.Actor(), job);
    }
}

public enum PowerAction
{
    On,

    /// <summary>Pull the plug.</summary>
    Off,

    /// <summary>Press the power button and wait for the guest (ACPI 6.5 §4.8.3.1.1).</summary>
    Shutdown,
    Reset,
    Pause,
    Resume,

    /// <summary>Save the machine's state to disk and switch off; on continues it.</summary>
    Save,
}

/// <param name="DeadlineSeconds">How long a shutdown may take; 60 unless told.</param>
/// <param name="Force">Switch off when the deadline of a shutdown has passed.</param>
public sealed record PowerRequest(PowerAction Action, int? DeadlineSeconds = null, bool Force = false) : ICheckedBody
{
    ValueTask ICheckedBody.CheckAsync(BodyCheck check)
    {
        check.Add(
            DeadlineSeconds is < 1 or > PowerEndpoints.LongestDeadline
                ? [new("/deadlineSeconds", $"must be between 1 and {PowerEndpoints.LongestDeadline}")]
                : []);
        return ValueTask.CompletedTask;
    }
}
