using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;

namespace WebVm.Api.Persistence.Migrations;

/// <summary>
/// What is deleted leaves its name, for the records that know only its id. By triggers, so that no way of deleting (one by one, a whole
/// table, by a foreign key) goes past it.
/// </summary>
[DbContext(typeof(WebVmDbContext))]
[Migration("0007_LastNames")]
public sealed class M0007_LastNames : Migration
{
    private static readonly string[] s_named = ["vms", "images", "snapshots", "users", "tokens"];

    protected override void Up(MigrationBuilder migrationBuilder)
    {
        migrationBuilder.Sql(
            """
            CREATE TABLE last_names (
                id uuid NOT NULL,
                name text NOT NULL,
                at timestamp with time zone NOT NULL,
                CONSTRAINT pk_last_names PRIMARY KEY (id)
            );
            CREATE INDEX ix_last_names_at ON last_names (at);
            CREATE FUNCTION keep_last_names() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                INSERT INTO last_names (id, name, at) SELECT id, name, now() FROM deleted ON CONFLICT (id) DO NOTHING;
                RETURN NULL;
            END $$;
            """);
        foreach (string table in s_named)
        {
            migrationBuilder.Sql(
                $"CREATE TRIGGER {table}_last_names AFTER DELETE ON {table} REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION keep_last_names();");
        }
    }

    protected override void Down(MigrationBuilder migrationBuilder)
    {
        foreach (string table in s_named)
        {
            migrationBuilder.Sql($"DROP TRIGGER {table}_last_names ON {table};");
        }

        migrationBuilder.Sql(
            """
            DROP FUNCTION keep_last_names();
            DROP TABLE last_names;
            """);
    }
}
