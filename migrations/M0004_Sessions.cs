using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;

namespace WebVm.Api.Persistence.Migrations;

/// <summary>Sessions are kept on the server, and tokens know which token made them. Whoever was signed in signs in again.</summary>
[DbContext(typeof(WebVmDbContext))]
[Migration("0004_Sessions")]
public sealed class M0004_Sessions : Migration
{
    protected override void Up(MigrationBuilder migrationBuilder) =>
        migrationBuilder.Sql(
            """
            CREATE TABLE sessions (
                id uuid NOT NULL,
                user_id uuid NOT NULL,
                by_link boolean NOT NULL,
                address text,
                agent text,
                created_at timestamp with time zone NOT NULL,
                last_used_at timestamp with time zone NOT NULL,
                expires_at timestamp with time zone NOT NULL,
                CONSTRAINT pk_sessions PRIMARY KEY (id),
                CONSTRAINT fk_sessions_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
            );
            CREATE INDEX ix_sessions_user_id ON sessions (user_id);
            CREATE INDEX ix_sessions_expires_at ON sessions (expires_at);
            ALTER TABLE tokens ADD COLUMN parent_id uuid;
            ALTER TABLE tokens ADD COLUMN generation integer NOT NULL DEFAULT 0;
            ALTER TABLE tokens ADD CONSTRAINT fk_tokens_parent_id FOREIGN KEY (parent_id) REFERENCES tokens (id) ON DELETE CASCADE;
            CREATE INDEX ix_tokens_parent_id ON tokens (parent_id);
            ALTER TABLE users DROP COLUMN security_stamp;
            """);

    protected override void Down(MigrationBuilder migrationBuilder) =>
        migrationBuilder.Sql(
            """
            ALTER TABLE users ADD COLUMN security_stamp text NOT NULL DEFAULT '';
            DROP INDEX ix_tokens_parent_id;
            ALTER TABLE tokens DROP COLUMN generation;
            ALTER TABLE tokens DROP COLUMN parent_id;
            DROP TABLE sessions;
            """);
}
