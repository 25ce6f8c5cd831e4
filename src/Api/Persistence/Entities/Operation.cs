using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace WebVm.Api.Persistence.Entities;

/// <summary>Work that takes longer than a moment; survives a restart of the service.</summary>
public sealed class Operation
{
    public Guid Id { get; init; } = Guid.CreateVersion7();

    /// <summary>What is done, such as "vm.snapshot.create".</summary>
    public required string Kind { get; init; }

    /// <summary>Path of the resource that is worked on.</summary>
    public required string Target { get; init; }

    public Guid? VmId { get; init; }

    public string? Actor { get; init; }

    public OperationState State { get; set; } = OperationState.Pending;

    /// <summary>0 to 100.</summary>
    public int Progress { get; set; }

    public string? Message { get; set; }

    public bool CancelRequested { get; set; }

    /// <summary>JSON that the work needs to go on after a restart.</summary>
    public string Input { get; init; } = "{}";

    /// <summary>JSON of the outcome.</summary>
    public string? Result { get; set; }

    public string? Error { get; set; }

    public DateTimeOffset CreatedAt { get; init; } = DateTimeOffset.UtcNow;

    public DateTimeOffset? StartedAt { get; set; }

    public DateTimeOffset? FinishedAt { get; set; }
}

internal sealed class OperationTable : IEntityTypeConfiguration<Operation>
{
    public void Configure(EntityTypeBuilder<Operation> table)
    {
        table.ToTable("operations");
        table.Property(operation => operation.Id).ValueGeneratedNever();
        table.Property(operation => operation.Input).HasColumnType("jsonb");
        table.Property(operation => operation.Result).HasColumnType("jsonb");
        table.HasIndex(operation => operation.State);
        table.HasIndex(operation => new { operation.VmId, operation.Id });
        table.HasIndex(operation => operation.FinishedAt);
    }
}

public enum OperationState
{
    Pending,
    Running,
    Succeeded,
    Failed,
    Cancelled,
}
