using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;

namespace WebVm.Api.Persistence.Migrations;

/// <summary>What a VM's running monitor is kept by.</summary>
[DbContext(typeof(WebVmDbContext))]
[Migration("0008_Isolation")]
public sealed class M0008_Isolation : Migration
{
    protected override void Up(MigrationBuilder migrationBuilder) =>
        migrationBuilder.Sql("ALTER TABLE vms ADD COLUMN isolation jsonb;");

    protected override void Down(MigrationBuilder migrationBuilder) =>
        migrationBuilder.Sql("ALTER TABLE vms DROP COLUMN isolation;");
}
