using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;

namespace WebVm.Api.Persistence.Migrations;

/// <summary>The newest events and operations of one VM among a million, and operations by their end, are found by an index.</summary>
[DbContext(typeof(WebVmDbContext))]
[Migration("0003_Indexes")]
public sealed class M0003_Indexes : Migration
{
    protected override void Up(MigrationBuilder migrationBuilder) =>
        migrationBuilder.Sql(
            """
            DROP INDEX ix_events_vm_id;
            DROP INDEX ix_operations_vm_id;
            CREATE INDEX ix_events_vm_id_id ON events (vm_id, id);
            CREATE INDEX ix_operations_vm_id_id ON operations (vm_id, id);
            CREATE INDEX ix_operations_finished_at ON operations (finished_at);
            """);

    protected override void Down(MigrationBuilder migrationBuilder) =>
        migrationBuilder.Sql(
            """
            DROP INDEX ix_operations_finished_at;
            DROP INDEX ix_operations_vm_id_id;
            DROP INDEX ix_events_vm_id_id;
            CREATE INDEX ix_operations_vm_id ON operations (vm_id);
            CREATE INDEX ix_events_vm_id ON events (vm_id);
            """);
}
