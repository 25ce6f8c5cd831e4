using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;

namespace WebVm.Api.Persistence.Migrations;

/// <summary>The answer to a repeated request has the ETag of the first.</summary>
[DbContext(typeof(WebVmDbContext))]
[Migration("0002_IdempotencyTag")]
public sealed class M0002_IdempotencyTag : Migration
{
    protected override void Up(MigrationBuilder migrationBuilder) =>
        migrationBuilder.Sql("ALTER TABLE idempotency ADD COLUMN tag text;");

    protected override void Down(MigrationBuilder migrationBuilder) =>
        migrationBuilder.Sql("ALTER TABLE idempotency DROP COLUMN tag;");
}
