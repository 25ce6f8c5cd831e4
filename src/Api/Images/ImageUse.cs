using Microsoft.EntityFrameworkCore;
using WebVm.Api.Persistence;

namespace WebVm.Api.Images;

/// <summary>The VMs that boot from an image, now or as they run.</summary>
internal sealed class ImageUse
{
    private const int MostNamed = 20;
    private const int MostTold = 5;

    public required string Image { get; init; }

    public required int Count { get; init; }

    /// <summary>The first 20 by name.</summary>
    public required string[] Names { get; init; }

    /// <summary>Counted in the database: ten thousand VMs are not read for a list of images.</summary>
    /// <param name="image">Name of the only image that is asked for; null for all.</param>
    /// <returns>By name of the image; without those that no VM uses.</returns>
    public static Task<Dictionary<string, ImageUse>> ReadAsync(WebVmDbContext database, string? image, CancellationToken cancellation) =>
        database.Database.SqlQuery<ImageUse>(
            $"""
            SELECT used.image AS "Image", count(*)::int AS "Count", (array_agg(used.name ORDER BY used.name))[1:{MostNamed}] AS "Names"
            FROM (
              SELECT DISTINCT v.name::text AS name, boot.image
              FROM vms v CROSS JOIN LATERAL (VALUES
                (v.configuration #>> ARRAY['boot','image']), (v.configuration #>> ARRAY['boot','kernel']), (v.configuration #>> ARRAY['boot','initrd']),
                (v.running_configuration #>> ARRAY['boot','image']), (v.running_configuration #>> ARRAY['boot','kernel']), (v.running_configuration #>> ARRAY['boot','initrd'])) boot (image)
              WHERE boot.image IS NOT NULL AND ({image}::text IS NULL OR boot.image = {image}::text)) used
            GROUP BY used.image
            """).ToDictionaryAsync(use => use.Image, StringComparer.Ordinal, cancellation);

    /// <summary>"a, b, c, d, e and 17 more".</summary>
    public override string ToString() =>
        string.Join(", ", Names.Take(MostTold)) + (Count > MostTold ? $" and {Count - MostTold} more" : "");
}
