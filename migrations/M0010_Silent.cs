using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;

namespace WebVm.Api.Persistence.Migrations;

/// <summary>Whether a VM's monitor lives and does not answer.</summary>
[DbContext(typeof(WebVmDbContext))]
[Migration("0010_Silent")]
public sealed class M0010_Silent : Migration
{
    protected override void Up(MigrationBuilder migrationBuilder) =>
        migrationBuilder.Sql("ALTER TABLE vms ADD COLUMN silent boolean NOT NULL DEFAULT false;");

    protected override void Down(MigrationBuilder migrationBuilder) =>
        migrationBuilder.Sql("ALTER TABLE vms DROP COLUMN silent;");
}
