using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;

namespace WebVm.Api.Persistence.Migrations;

/// <summary>A VM remembers how it crashed last.</summary>
[DbContext(typeof(WebVmDbContext))]
[Migration("0006_LastCrash")]
public sealed class M0006_LastCrash : Migration
{
    protected override void Up(MigrationBuilder migrationBuilder) => migrationBuilder.Sql("ALTER TABLE vms ADD COLUMN last_crash jsonb;");

    protected override void Down(MigrationBuilder migrationBuilder) => migrationBuilder.Sql("ALTER TABLE vms DROP COLUMN last_crash;");
}
