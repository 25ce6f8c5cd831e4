using Microsoft.EntityFrameworkCore;
using WebVm.Api.Persistence;

namespace WebVm.Web.Reading;

/// <summary>Names by ids, for lists that know only ids: of VMs, images, snapshots, users and tokens, also of those that are gone.</summary>
public sealed class NameIndex(IDbContextFactory<WebVmDbContext> databases)
{
    public async Task<IReadOnlyDictionary<Guid, Named>> OfAsync(IEnumerable<Guid> ids, CancellationToken cancellation)
    {
        Guid[] wanted = [.. ids.Distinct()];
        if (wanted.Length == 0)
        {
            return new Dictionary<Guid, Named>();
        }

        await using var database = await databases.CreateDbContextAsync(cancellation);
        var found = await database.Database.SqlQuery<Row>(
            $"""
            SELECT id AS "Id", name AS "Name", false AS "Gone" FROM vms WHERE id = ANY ({wanted})
            UNION ALL SELECT id, name, false FROM images WHERE id = ANY ({wanted})
            UNION ALL SELECT id, name, false FROM snapshots WHERE id = ANY ({wanted})
            UNION ALL SELECT id, name, false FROM users WHERE id = ANY ({wanted})
            UNION ALL SELECT id, name, false FROM tokens WHERE id = ANY ({wanted})
            UNION ALL SELECT id, name, true FROM last_names WHERE id = ANY ({wanted})
            """).ToListAsync(cancellation);
        // What is deleted in this moment may be in both.
        return found.GroupBy(row => row.Id).ToDictionary(rows => rows.Key, rows => new Named(rows.First().Name, rows.All(row => row.Gone)));
    }

    private sealed record Row(Guid Id, string Name, bool Gone);
}

/// <param name="Gone">It was deleted; the name is its last.</param>
public sealed record Named(string Name, bool Gone);
