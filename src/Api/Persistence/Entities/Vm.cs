using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;
using WebVm.Api.Runs;

namespace WebVm.Api.Persistence.Entities;

/// <summary>A virtual machine: what its owner wants, and what the reconciler last saw.</summary>
public sealed class Vm
{
    public Guid Id { get; init; } = Guid.CreateVersion7();

    /// <summary>Unique, in any letter case.</summary>
    public required string Name { get; set; }

    public string Description { get; set; } = "";

    public Dictionary<string, string> Labels { get; set; } = [];

    public required VmConfiguration Configuration { get; set; }

    /// <summary>The configuration that the running monitor was started with; null while none runs.</summary>
    public VmConfiguration? RunningConfiguration { get; set; }

    public DesiredPower Desired { get; set; } = DesiredPower.Off;

    /// <summary>Counts the owner's power commands: a monitor belongs to the command that started it.</summary>
    public long DesiredGeneration { get; set; }

    public ObservedPower Observed { get; set; } = ObservedPower.Off;

    /// <summary>Why the VM is in its observed state: exit reason or error.</summary>
    public string? ObservedReason { get; set; }

    /// <summary>The monitor lives and does not answer: what is observed was seen before.</summary>
    public bool Silent { get; set; }

    /// <summary>How a run of the VM crashed last; null when none has, or nobody wants to know any more.</summary>
    public VmCrash? LastCrash { get; set; }

    /// <summary>Name of the run: its directory below the VM's folder. Null while no monitor is meant to run.</summary>
    public string? RunId { get; set; }

    /// <summary>What the running monitor is kept by; null while none runs, or one of a build that did not say.</summary>
    public Isolation? Isolation { get; set; }

    /// <summary>Restarts after a crash since the last manual start, or since the VM has last run for ten minutes.</summary>
    public int RestartCount { get; set; }

    public DateTimeOffset? RestartAt { get; set; }

    public DateTimeOffset? StartedAt { get; set; }

    /// <summary>Set when deletion was asked for; the reconciler completes it.</summary>
    public bool Deleting { get; set; }

    public DateTimeOffset CreatedAt { get; init; } = DateTimeOffset.UtcNow;

    public DateTimeOffset UpdatedAt { get; set; } = DateTimeOffset.UtcNow;

    /// <summary>Advanced by every change of settings: what If-Match compares.</summary>
    public long Revision { get; set; } = 1;
}

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

public enum DesiredPower
{
    Off,
    On,
    Paused,
    Saved,
}

public enum ObservedPower
{
    Off,
    Starting,
    Running,
    Paused,
    Saving,
    Saved,
    Stopping,
    Crashed,
    Failed,
}

/// <summary>
/// A crash of a VM: its guest's kernel panicked, its processor shut down, or its monitor failed. Nothing that is only suspected.
/// </summary>
public sealed record VmCrash
{
    public required DateTimeOffset At { get; init; }

    public required string Reason { get; init; }

    /// <summary>Whether the last screen is kept.</summary>
    public bool Screen { get; init; }

    /// <summary>How many of the last bytes of serial output are kept.</summary>
    public long SerialBytes { get; init; }

    /// <summary>Where they end in the VM's serial log.</summary>
    public long SerialEnd { get; init; }
}
