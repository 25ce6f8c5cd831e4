using Npgsql;
using Xunit;

namespace WebVm.Api.Tests.Persistence;

public sealed class SchemaTests(SharedService shared)
{
    private const string Describe =
        """
        SELECT 'column ' || table_name || '.' || column_name || ' ' || data_type || ' ' || coalesce(character_maximum_length::text, '') || ' ' || coalesce(collation_name, '')
               || ' ' || is_nullable || ' ' || is_identity
        FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> '__EFMigrationsHistory'
        UNION ALL
        SELECT 'index ' || indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> '__EFMigrationsHistory'
        UNION ALL
        SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND conrelid <> 0 AND conrelid::regclass::text NOT LIKE '%EFMigrationsHistory%'
        ORDER BY 1
        """;

    // What a model cannot say: the text that VMs are searched in, and its index.
    private const string Searched = "search_text";

    // What the database keeps by itself: the labels in use, two columns, two indexes, two constraints.
    private const string Labels = "vm_labels";

    [Fact]
    public async Task The_migrations_make_the_schema_that_the_model_describes()
    {
        var modelled = await Databases.CreateAsync(shared.Service, "model");
        var expected = await ReadAsync(modelled.ConnectionString);
        Assert.True(expected.Count > 50);
        var migrated = await ReadAsync(Databases.Of(shared.Service).ConnectionString);
        Assert.Equal(2, migrated.RemoveAll(line => line.Contains(Searched, StringComparison.Ordinal)));
        Assert.Equal(6, migrated.RemoveAll(line => line.Contains(Labels, StringComparison.Ordinal)));
        Assert.Equal(expected, migrated);
    }

    private static async Task<List<string>> ReadAsync(string connectionString)
    {
        await using var connection = new NpgsqlConnection(connectionString);
        await connection.OpenAsync(Rest.Cancellation);
        await using var command = new NpgsqlCommand(Describe, connection);
        await using var reader = await command.ExecuteReaderAsync(Rest.Cancellation);
        var lines = new List<string>();
        while (await reader.ReadAsync(Rest.Cancellation))
        {
            lines.Add(reader.GetString(0));
        }

        return lines;
    }
}
