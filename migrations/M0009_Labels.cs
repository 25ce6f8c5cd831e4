using Microsoft.EntityFrameworkCore.Infrastructure;
using Microsoft.EntityFrameworkCore.Migrations;

namespace WebVm.Api.Persistence.Migrations;

/// <summary>
/// The labels in use are read from an index of them, not from every VM, and VMs are listed by their last change. The table of labels is no
/// part of the model: the database keeps it.
/// </summary>
[DbContext(typeof(WebVmDbContext))]
[Migration("0009_Labels")]
public sealed class M0009_Labels : Migration
{
    protected override void Up(MigrationBuilder migrationBuilder)
    {
        // A row for each label of each VM, as the API writes it: a count for each label would have VMs with the same labels wait for each
        // other.
        migrationBuilder.Sql(
            """
            CREATE TABLE vm_labels (
                label text COLLATE "C" NOT NULL,
                vm_id uuid NOT NULL REFERENCES vms (id) ON DELETE CASCADE,
                PRIMARY KEY (label, vm_id));
            CREATE INDEX ix_vm_labels_vm_id ON vm_labels (vm_id);
            CREATE FUNCTION webvm_labels(labels jsonb) RETURNS SETOF text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
                SELECT DISTINCT CASE WHEN l.value = '' THEN l.key ELSE l.key || '=' || l.value END FROM jsonb_each_text(labels) l
            $$;
            CREATE FUNCTION webvm_keep_labels() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF TG_OP = 'UPDATE' THEN
                    IF NEW.labels = OLD.labels THEN
                        RETURN NULL;
                    END IF;
                    DELETE FROM vm_labels WHERE vm_id = NEW.id;
                END IF;
                INSERT INTO vm_labels SELECT l, NEW.id FROM webvm_labels(NEW.labels) l;
                RETURN NULL;
            END $$;
            CREATE TRIGGER vms_keep_labels AFTER INSERT OR UPDATE OF labels ON vms FOR EACH ROW EXECUTE FUNCTION webvm_keep_labels();
            INSERT INTO vm_labels SELECT l, v.id FROM vms v, webvm_labels(v.labels) l;
            """);

        migrationBuilder.Sql("CREATE INDEX ix_vms_updated_at_id ON vms (updated_at, id);");
    }

    protected override void Down(MigrationBuilder migrationBuilder) =>
        migrationBuilder.Sql(
            """
            DROP INDEX ix_vms_updated_at_id;
            DROP TRIGGER vms_keep_labels ON vms;
            DROP FUNCTION webvm_keep_labels;
            DROP FUNCTION webvm_labels;
            DROP TABLE vm_labels;
            """);
}
