using Microsoft.EntityFrameworkCore;
using Microsoft.EntityFrameworkCore.Metadata.Builders;

namespace WebVm.Api.Persistence.Entities;

/// <summary>Something that VMs boot from.</summary>
public sealed class Image
{
    public Guid Id { get; init; } = Guid.CreateVersion7();

    public required string Name { get; set; }

    public required ImageKind Kind { get; init; }

    public ImageState State { get; set; } = ImageState.Receiving;

    public string Description { get; set; } = "";

    /// <summary>Total bytes, as announced or as found.</summary>
    public long Bytes { get; set; }

    public long ReceivedBytes { get; set; }

    /// <summary>Lower-case hexadecimal.</summary>
    public string? Sha256 { get; set; }

    /// <summary>Part of the service, not deletable.</summary>
    public bool BuiltIn { get; init; }

    public string? SourceUrl { get; init; }

    public string? Error { get; set; }

    public DateTimeOffset CreatedAt { get; init; } = DateTimeOffset.UtcNow;

    public long Revision { get; set; } = 1;
}

internal sealed class ImageTable : IEntityTypeConfiguration<Image>
{
    public void Configure(EntityTypeBuilder<Image> table)
    {
        table.ToTable("images");
        table.Property(image => image.Id).ValueGeneratedNever();
        table.Property(image => image.Name).HasMaxLength(63).UseCollation("C");
        table.HasIndex(image => image.Name).IsUnique();
        table.Property(image => image.Revision).IsConcurrencyToken();
    }
}

public enum ImageKind
{
    /// <summary>A kernel with its initrd and default command line.</summary>
    Bundle,
    Kernel,
    Initrd,
    Disk,
    Iso,
}

public enum ImageState
{
    /// <summary>Waiting for bytes.</summary>
    Receiving,
    Verifying,
    Ready,
    Failed,
}
