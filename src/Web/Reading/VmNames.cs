using Microsoft.EntityFrameworkCore;
using WebVm.Api.Persistence;

namespace WebVm.Web.Reading;

/// <summary>Names of VMs by their ids, for lists that know only ids. VMs that are gone have none.</summary>
public sealed class VmNames(IDbContextFactory<WebVmDbContext> databases)
{
    public async Task<IReadOnlyDictionary<Guid, string>> OfAsync(IEnumerable<Guid> ids, CancellationToken cancellation)
    {
        Guid[] wanted = [.. ids.Distinct()];
        await using var database = await databases.CreateDbContextAsync(cancellation);
        return await database.Vms.AsNoTracking().Where(vm => wanted.Contains(vm.Id)).ToDictionaryAsync(vm => vm.Id, vm => vm.Name, cancellation);
    }
}
