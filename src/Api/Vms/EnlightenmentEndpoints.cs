using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Conventions;
using WebVm.Api.Identity;
using WebVm.Api.Persistence;
using WebVm.Api.Runs;

namespace WebVm.Api.Vms;

/// <summary><c>/vms/{id}/enlightenments</c>: what the guest does better because it knows that it is virtual.</summary>
public static class EnlightenmentEndpoints
{
    public static void MapEnlightenments(this IEndpointRouteBuilder api) =>
        api.MapGet("/vms/{id:guid}/enlightenments", GetAsync).RequireScope(Scopes.VmsRead).WithTags("VMs")
            .WithSummary("Read which paravirtual interfaces a running guest was offered and took")
            .WithDescription(
                "vcpus names the vCPUs whose guest took it; it is absent where guests take it without telling. 409 while the VM is off.")
            .Produces<EnlightenmentsView>().ProducesProblem(StatusCodes.Status404NotFound).ProducesProblem(StatusCodes.Status409Conflict);

    private static async Task<IResult> GetAsync(Guid id, WebVmDbContext database, VmSupervisor supervisor, CancellationToken cancellation)
    {
        if (!await database.Vms.AnyAsync(vm => vm.Id == id, cancellation))
        {
            return Problems.NotFound("VM", id);
        }

        return await MonitorCalls.TryAsync(supervisor.Client(id), async client => TypedResults.Ok(new EnlightenmentsView(
            [.. (await client.EnlightenmentsAsync().WaitAsync(cancellation)).Items.Select(
                item => new EnlightenmentView(item.Name, item.Description, item.Offered, item.Vcpus))])));
    }
}

public sealed record EnlightenmentsView(IReadOnlyList<EnlightenmentView> Items);

/// <param name="Name">Such as kvm-clock.</param>
/// <param name="Vcpus">vCPUs whose guest took it; null where guests take it without telling.</param>
public sealed record EnlightenmentView(string Name, string Description, bool Offered, IReadOnlyList<int>? Vcpus);
