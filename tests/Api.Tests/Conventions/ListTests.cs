using System.Diagnostics;
using Microsoft.EntityFrameworkCore;
using Xunit;

namespace WebVm.Api.Tests.Conventions;

/// <summary>Lists of ten thousand machines, which all tests of them look at.</summary>
public sealed class ListTests(ListTests.Site site) : IClassFixture<ListTests.Site>
{
    private const int PageSize = 1000;

    private ServiceProcess Service => site.Service;

    [Fact]
    public async Task Ten_thousand_VMs_are_listed_page_by_page_with_one_query_each()
    {
        var names = new List<string>();
        string? cursor = null;
        do
        {
            int before = (await site.ReadLogAsync()).Length;
            var (_, page, _) = await Service.Client.SendAsync(
                HttpMethod.Get, $"/api/v1/vms?limit={PageSize}" + (cursor is null ? "" : $"&cursor={cursor}"));
            string log = (await site.ReadLogAsync())[before..];
            Assert.Equal(1, Count(log, Site.ListQuery));
            // Beside it: what goes on in the background, not something for every row.
            Assert.True(Count(log, "LOG:  execute") < PageSize / 2, log);
            names.AddRange(page!["items"]!.AsArray().Select(vm => (string)vm!["name"]!));
            cursor = (string?)page["nextCursor"];
        }
        while (cursor is not null);
        Assert.Equal(Enumerable.Range(1, Site.Rows).Select(n => $"vm-{n:00000}"), names);
    }

    [Theory]
    [InlineData("q=0777", 11)]
    [InlineData("q=77%20group=7", 191)]
    [InlineData("q=GROUP=77", 100)]
    [InlineData("label=group=7", 100)]
    [InlineData("state=running", 200)]
    [InlineData("state=Running&state=off&q=vm-0777", 10)]
    [InlineData("state=running&label=group=50&q=VM-00", 10)]
    public async Task Filters_find_their_rows_among_ten_thousand(string filter, int expected)
    {
        var (_, page, _) = await Service.Client.SendAsync(HttpMethod.Get, $"/api/v1/vms?limit={PageSize}&fields=name&{filter}");
        var items = page!["items"]!.AsArray();
        Assert.Equal(expected, items.Count);
        Assert.All(items, item => Assert.Equal(["name"], item!.AsObject().Select(member => member.Key)));
        Assert.Equal(
            items.Select(item => (string)item!["name"]!).Order(StringComparer.Ordinal), items.Select(item => (string)item!["name"]!));
    }

    [Theory]
    [InlineData("search_text ILIKE '%0777%'", "ix_vms_search_text")]
    [InlineData("labels @> '{\"group\":\"7\"}'", "ix_vms_labels")]
    public async Task Words_and_labels_are_found_by_an_index(string condition, string index)
    {
        await using var database = Databases.Of(Service).CreateDbContext();
        // Rows that came all at once wait in a list of the index until that is tidied up.
        await database.Database.ExecuteSqlAsync($"VACUUM ANALYZE vms", Rest.Cancellation);
        await using var connection = new Npgsql.NpgsqlConnection(Databases.Of(Service).ConnectionString);
        await connection.OpenAsync(Rest.Cancellation);
        await using var explain = new Npgsql.NpgsqlCommand(
            $"EXPLAIN SELECT id FROM vms WHERE {condition} ORDER BY name LIMIT 101", connection);
        await using var reader = await explain.ExecuteReaderAsync(Rest.Cancellation);
        var plan = new List<string>();
        while (await reader.ReadAsync(Rest.Cancellation))
        {
            plan.Add(reader.GetString(0));
        }

        Assert.Contains(plan, line => line.Contains(index, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("-name", "vm-10000", "vm-09999")]
    [InlineData("createdAt", null, null)]
    [InlineData("-createdAt", null, null)]
    [InlineData("updatedAt", null, null)]
    [InlineData("-updatedAt", null, null)]
    public async Task Every_order_is_paged_without_gap_or_repetition(string sort, string? first, string? second)
    {
        var names = new List<string>();
        string? cursor = null;
        do
        {
            var (_, page, _) = await Service.Client.SendAsync(
                HttpMethod.Get, $"/api/v1/vms?limit={PageSize}&fields=name&sort={sort}" + (cursor is null ? "" : $"&cursor={cursor}"));
            names.AddRange(page!["items"]!.AsArray().Select(vm => (string)vm!["name"]!));
            cursor = (string?)page["nextCursor"];
            if (cursor is not null)
            {
                // A place in one order is none in another.
                Assert.Equal(
                    System.Net.HttpStatusCode.UnprocessableEntity,
                    (await Service.Client.SendAsync(HttpMethod.Get, $"/api/v1/vms?sort=name&cursor={cursor}")).Status);
            }
        }
        while (cursor is not null);
        Assert.Equal(Site.Rows, names.Distinct().Count());
        Assert.Equal(Site.Rows, names.Count);
        Assert.True(first is null || (names[0] == first && names[1] == second));
    }

    [Fact]
    public async Task What_was_changed_last_comes_first_where_that_is_asked_for()
    {
        await using var database = Databases.Of(Service).CreateDbContext();
        await database.Database.ExecuteSqlAsync($"UPDATE vms SET updated_at = now() WHERE name = 'vm-05000'", Rest.Cancellation);
        Assert.Equal(
            "vm-05000", (string)(await Service.Client.SendAsync(
                HttpMethod.Get, "/api/v1/vms?sort=-updatedAt&limit=1")).Body!["items"]![0]!["name"]!);
    }

    [Fact]
    public async Task The_summary_knows_the_labels_in_use()
    {
        Assert.Equal(Enumerable.Range(0, 100).Select(n => $"group={n}").Order(StringComparer.Ordinal), await LabelsAsync());
        await using var database = Databases.Of(Service).CreateDbContext();
        await SetLabelsAsync("vm-00001", """{"alone":"","group":"1","z":"1"}""");
        Assert.Equal("alone", (await LabelsAsync())[0]);
        Assert.Equal("z=1", (await LabelsAsync())[^1]);
        await SetLabelsAsync("vm-00001", """{"group":"1","z":"2"}""");
        Assert.Equal("group=0", (await LabelsAsync())[0]);
        Assert.Equal("z=2", (await LabelsAsync())[^1]);
        await SetLabelsAsync("vm-00001", """{"group":"1"}""");
        await database.Database.ExecuteSqlAsync(
            $$"""
            INSERT INTO vms (id, name, description, labels, configuration, desired, desired_generation, observed, restart_count, deleting, created_at, updated_at, revision)
            SELECT gen_random_uuid(), 'passing', description, '{"passing":"yes"}'::jsonb, configuration, desired, desired_generation, observed, restart_count, deleting, created_at, updated_at, revision
            FROM vms WHERE name = 'vm-00001'
            """, Rest.Cancellation);
        Assert.Contains("passing=yes", await LabelsAsync());
        await database.Vms.Where(vm => vm.Name == "passing").ExecuteDeleteAsync(Rest.Cancellation);
        Assert.Equal(100, (await LabelsAsync()).Count);

        Task SetLabelsAsync(string name, string labels) =>
            database.Database.ExecuteSqlAsync($"UPDATE vms SET labels = {labels}::jsonb WHERE name = {name}", Rest.Cancellation);
        async Task<List<string>> LabelsAsync() =>
            [.. (await Service.Client.SendAsync(HttpMethod.Get, "/api/v1/vms/summary")).Body!["labels"]!.AsArray()
                .Select(label => (string)label!)];
    }

    [Theory]
    [InlineData("name=vm-00777", 1)]
    [InlineData("name=VM-00777", 0)]
    [InlineData("name=vm-0077", 0)]
    public async Task A_name_is_found_exactly(string filter, int expected) =>
        Assert.Equal(expected, (await Service.Client.SendAsync(HttpMethod.Get, "/api/v1/vms?" + filter)).Body!["items"]!.AsArray().Count);

    [Theory]
    [InlineData("/api/v1/vms?state=flying")]
    [InlineData("/api/v1/vms?state=1")]
    [InlineData("/api/v1/operations?state=0")]
    [InlineData("/api/v1/images?kind=bundle,iso")]
    public async Task A_state_that_is_none_is_refused(string path) =>
        Assert.Equal(System.Net.HttpStatusCode.UnprocessableEntity, (await Service.Client.SendAsync(HttpMethod.Get, path)).Status);

    private static int Count(string text, string part) => text.Split(part).Length - 1;

    /// <summary>A service of its own with many machines, whose database logs every statement.</summary>
    public sealed class Site : IAsyncLifetime
    {
        public const int Rows = 10_000;
        public const string ListQuery = "ORDER BY v.name";

        public ServiceProcess Service { get; private set; } = null!;

        public async ValueTask InitializeAsync()
        {
            Service = await ServiceProcess.StartAsync();
            await using var database = Databases.Of(Service).CreateDbContext();
            await database.Database.ExecuteSqlAsync(
                $$"""
                INSERT INTO vms (id, name, description, labels, configuration, desired, desired_generation, observed, restart_count, deleting, created_at, updated_at, revision)
                SELECT gen_random_uuid(), 'vm-' || lpad(n::text, 5, '0'), '', jsonb_build_object('group', (n % 100)::text), '{}', 'Off', 0,
                       CASE WHEN n % 50 = 0 THEN 'Running' ELSE 'Off' END, 0, false, now(), now(), 1
                FROM generate_series(1, {{Rows}}) n
                """, Rest.Cancellation);
            await database.Database.ExecuteSqlAsync($"ALTER SYSTEM SET log_statement = 'all'", Rest.Cancellation);
            await database.Database.ExecuteSqlAsync($"SELECT pg_reload_conf()", Rest.Cancellation);
            // The server's processes read their settings when they get round to it. The service's are among them.
            for (long start = Stopwatch.GetTimestamp(); Count(await ReadLogAsync(), ListQuery) == 0;)
            {
                Assert.True(Stopwatch.GetElapsedTime(start) < Rest.Patience, "The server does not log statements.");
                await Service.Client.SendAsync(HttpMethod.Get, "/api/v1/vms?limit=1");
            }
        }

        public ValueTask DisposeAsync() => Service.DisposeAsync();

        public async Task<string> ReadLogAsync()
        {
            await using var file = new FileStream(
                Path.Combine(Service.Data, "postgres", "postgresql.log"), FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            using var reader = new StreamReader(file);
            return await reader.ReadToEndAsync(Rest.Cancellation);
        }
    }
}
