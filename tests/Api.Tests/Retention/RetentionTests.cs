using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using WebVm.Api.Persistence;
using WebVm.Api.Persistence.Entities;
using WebVm.Api.Retention;
using WebVm.Api.Settings;
using Xunit;

namespace WebVm.Api.Tests.Retention;

public sealed class RetentionTests(SharedService shared)
{
    private static readonly DateTimeOffset s_start = new(2030, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private readonly FixedTime _time = new(s_start);

    [Fact]
    public async Task What_is_older_than_it_is_kept_goes_and_the_rest_stays()
    {
        var databases = await Databases.CreateAsync(shared.Service, "retention_age");
        await using var database = databases.CreateDbContext();
        database.Events.Add(new EventRecord { Type = "a", Subject = "/", At = s_start });
        database.Audit.Add(new AuditRecord { Actor = "a", Action = "POST", Target = "/", At = s_start });
        database.Operations.Add(new Operation { Kind = "k", Target = "/ended", CreatedAt = s_start, FinishedAt = s_start });
        database.Operations.Add(new Operation { Kind = "k", Target = "/unended", CreatedAt = s_start });
        database.LastNames.Add(new LastName { Id = Guid.NewGuid(), Name = "gone", At = s_start });
        database.Idempotency.Add(new IdempotencyRecord { Actor = "a", Key = "k", RequestHash = [1], CreatedAt = s_start });
        await database.SaveChangesAsync(Rest.Cancellation);
        var housekeeper = Housekeeper(
            databases, new ServiceOptions { KeepEventsDays = 3, KeepAuditDays = 4, KeepOperationsDays = 2, KeepIdempotencyHours = 24 });
        (TimeSpan After, long Gone)[] steps = [(TimeSpan.FromHours(23), 0), (TimeSpan.FromHours(25), 1), (TimeSpan.FromHours(49), 1),
            (TimeSpan.FromHours(73), 1), (TimeSpan.FromHours(97), 2), (TimeSpan.FromDays(4000), 0)];
        foreach (var (after, gone) in steps)
        {
            _time.Now = s_start + after;
            Assert.Equal(gone, await housekeeper.SweepAsync(Rest.Cancellation));
        }

        // Work that has not ended is nobody's past.
        Assert.Equal(
            ["/unended"], await database.Operations.AsNoTracking().Select(operation => operation.Target).ToListAsync(Rest.Cancellation));
    }

    [Fact]
    public async Task More_events_than_are_kept_go_however_young_in_more_than_one_batch()
    {
        const int surplus = Api.Retention.Housekeeper.BatchSize + 7;
        var databases = await Databases.CreateAsync(shared.Service, "retention_count");
        await using var database = databases.CreateDbContext();
        await database.Database.ExecuteSqlAsync(
            $"INSERT INTO events (type, subject, data, at) SELECT 'a', n::text, '{{}}'::jsonb, {s_start} FROM generate_series(1, {surplus + 1000}) n",
            Rest.Cancellation);
        Assert.Equal(surplus, await Housekeeper(databases, new ServiceOptions { KeepEventsCount = 1000 }).SweepAsync(Rest.Cancellation));
        Assert.Equal(1000, await database.Events.CountAsync(Rest.Cancellation));
        Assert.Equal(surplus + 1, await database.Events.MinAsync(record => record.Id, Rest.Cancellation));
    }

    private Housekeeper Housekeeper(IDbContextFactory<WebVmDbContext> databases, ServiceOptions options) =>
        new(databases, new DatabaseAddress("", null), Options.Create(options), _time, NullLogger<Housekeeper>.Instance);
}
