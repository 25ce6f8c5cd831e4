using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;

namespace WebVm.Api.Persistence.Migrations;

/// <summary>
/// VMs are found by words and labels through indexes, and snapshots can be changed. What words are looked for in is one text for each VM,
/// written with its row; three letters and more of a word are found by their trigrams. That text is no part of the model: whoever reads a
/// VM does not read it.
/// </summary>
[DbContext(typeof(WebVmDbContext))]
[Migration("0005_Search")]
public sealed class M0005_Search : Migration
{
    protected override void Up(MigrationBuilder migrationBuilder)
    {
        migrationBuilder.Sql(
            """
            ALTER TABLE snapshots ADD COLUMN revision bigint NOT NULL DEFAULT 1;
            ALTER TABLE snapshots ALTER COLUMN revision DROP DEFAULT;
            CREATE INDEX ix_vms_labels ON vms USING gin (labels);
            """);

        // Words have no line's end, so none is found across two fields.
        migrationBuilder.Sql(
            """
            CREATE FUNCTION webvm_search_text(name text, description text, labels jsonb) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
                SELECT name || E'\n' || description || coalesce((SELECT string_agg(E'\n' || l.key || '=' || l.value, '' ORDER BY l.key) FROM jsonb_each_text(labels) l), '')
            $$;
            ALTER TABLE vms ADD COLUMN search_text text GENERATED ALWAYS AS (webvm_search_text(name::text, description, labels)) STORED;
            """);

        // The extension comes with PostgreSQL, and a database's owner may add it. A server that lacks it searches without an index.
        migrationBuilder.Sql(
            """
            DO $$
            BEGIN
                CREATE EXTENSION IF NOT EXISTS pg_trgm;
                CREATE INDEX ix_vms_search_text ON vms USING gin (search_text gin_trgm_ops);
            EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN
                RAISE WARNING 'Searching VMs has no index: %', SQLERRM;
            END $$;
            """);
    }

    protected override void Down(MigrationBuilder migrationBuilder) =>
        migrationBuilder.Sql(
            """
            ALTER TABLE vms DROP COLUMN search_text;
            DROP FUNCTION webvm_search_text;
            DROP INDEX ix_vms_labels;
            ALTER TABLE snapshots DROP COLUMN revision;
            """);
}
