using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;
using WebVm.Api.Persistence.Entities;

namespace WebVm.Api.Persistence.Configurations;

internal sealed class VmTable : IEntityTypeConfiguration<Vm>
{
    public void Configure(EntityTypeBuilder<Vm> table)
    {
        table.ToTable("vms");
        table.Property(vm => vm.Id).ValueGeneratedNever();
        // "C" sorts by code point, so that paging by name is the same on every host.
        table.Property(vm => vm.Name).HasMaxLength(63).UseCollation("C");
        table.HasIndex(vm => vm.Name).IsUnique();
        table.Property(vm => vm.Labels).IsJson();
        table.Property(vm => vm.Configuration).IsJson();
        table.Property(vm => vm.RunningConfiguration).IsJson();
        table.Property(vm => vm.Isolation).IsJson();
        table.Property(vm => vm.LastCrash).IsJson();
        table.Property(vm => vm.Revision).IsConcurrencyToken();
        // For ?label=; the index that words are looked for by has no form in a model (M0005).
        table.HasIndex(vm => vm.Labels).HasMethod("gin");
        table.HasIndex(vm => new { vm.UpdatedAt, vm.Id });
    }
}

internal sealed class SnapshotTable : IEntityTypeConfiguration<Snapshot>
{
    public void Configure(EntityTypeBuilder<Snapshot> table)
    {
        table.ToTable("snapshots");
        table.Property(snapshot => snapshot.Id).ValueGeneratedNever();
        table.Property(snapshot => snapshot.Name).HasMaxLength(63);
        table.Property(snapshot => snapshot.Configuration).IsJson();
        table.Property(snapshot => snapshot.Revision).IsConcurrencyToken();
        table.HasIndex(snapshot => new { snapshot.VmId, snapshot.Name }).IsUnique();
        table.HasOne<Vm>().WithMany().HasForeignKey(snapshot => snapshot.VmId).OnDelete(DeleteBehavior.Cascade);
    }
}
