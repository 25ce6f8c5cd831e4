using System.Runtime.CompilerServices;
using Microsoft.EntityFrameworkCore;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Vms;

/// <summary>Finding VMs among many, in the database.</summary>
internal static class VmSearch
{
    private const int MostLabels = 200;

    /// <summary>VMs with every word of the text in their name, description or labels (written key=value).</summary>
    public static IQueryable<Vm> VmsWith(this WebVmDbContext database, string? text)
    {
        object[] patterns = [.. (text ?? "").Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)
            .Distinct(StringComparer.OrdinalIgnoreCase).Select(Pattern)];
        // One condition for each word, since only such are looked up in the index.
        return patterns.Length == 0
            ? database.Vms.AsNoTracking()
            : database.Vms.FromSql(
                FormattableStringFactory.Create(
                    "SELECT * FROM vms WHERE " + string.Join(" AND ", patterns.Select((_, n) => $"search_text ILIKE {{{n}}}")), patterns))
                        .AsNoTracking();
    }

    /// <summary>How many there are in each state, and the labels that are in use.</summary>
    public static async Task<VmSummary> SummarizeAsync(this WebVmDbContext database, CancellationToken cancellation)
    {
        var states = await database.CountByStateAsync(cancellation);
        // From each label to the next one by the index: what it costs goes with the labels, not with the VMs.
        var labels = await database.Database.SqlQuery<string>(
            $"""
            WITH RECURSIVE used AS (
                (SELECT label FROM vm_labels ORDER BY label LIMIT 1)
                UNION ALL
                SELECT (SELECT next.label FROM vm_labels next WHERE next.label > used.label ORDER BY next.label LIMIT 1) FROM used WHERE used.label IS NOT NULL)
            SELECT label AS "Value" FROM used WHERE label IS NOT NULL LIMIT {MostLabels}
            """).ToListAsync(cancellation);
        return new(states.Values.Sum(), states, labels);
    }

    /// <summary>How many there are in each state that some VM is in.</summary>
    public static Task<Dictionary<ObservedPower, int>> CountByStateAsync(this WebVmDbContext database, CancellationToken cancellation) =>
        database.Vms.GroupBy(vm => vm.Observed).Select(group => new { State = group.Key, Count = group.Count() })
            .ToDictionaryAsync(group => group.State, group => group.Count, cancellation);

    private static string Pattern(string word) =>
        $"%{word.Replace(@"\", @"\\", StringComparison.Ordinal).Replace("%", @"\%", StringComparison.Ordinal).Replace("_", @"\_", StringComparison.Ordinal)}%";
}

/// <param name="States">Only the states that some VM is in.</param>
/// <param name="Labels">The first 200 by name, as key or key=value.</param>
public sealed record VmSummary(int Total, IReadOnlyDictionary<ObservedPower, int> States, IReadOnlyList<string> Labels);
