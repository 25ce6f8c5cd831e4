namespace WebVm.Vmm.State;

/// <summary>What a frame of a stream holds. Numbers are little-endian.</summary>
internal enum StreamFrame : uint
{
    /// <summary>A section, in JSON.</summary>
    Section = 1,

    /// <summary>The contents of a region of memory begin: its size (8 bytes), its name.</summary>
    Contents = 2,

    /// <summary>
    /// Some of them: their offset (8 bytes), at most 1 MiB of whole pages. Each begins where the one before ended, or later; what lies
    /// between is zero.
    /// </summary>
    Data = 3,

    /// <summary>The end: how many sections (8 bytes) and how many bytes of contents (8 bytes) there were.</summary>
    End = 4,
}

/// <summary>
/// A stream is a preface, and frames: kind (4 bytes), length of the payload (4), payload, checksum (4). The checksum (CRC-32C) is of
/// everything before it but other checksums, preface and frames before included: a frame that is damaged, missing, doubled or in another's
/// place does not fit.
/// </summary>
internal static class StreamFormat
{
    /// <summary>With the version of the format as its last byte.</summary>
    public static ReadOnlySpan<byte> Preface => "WebVmState\0\0\0\0\0\u0001"u8;

    public const int PageSize = 4096;
    public const int HeaderLength = 8;
    public const int ChecksumLength = 4;
    public const int OffsetLength = 8;

    /// <summary>Bytes of all sections' frames together.</summary>
    public const int MaximumSections = SavedStateFolder.MaximumLength;
    public const int MaximumSectionCount = 4096;
    public const int MaximumContents = 1024;
    public const int MaximumData = Host.SparseFile.ChunkSize;
    public const int LongestName = 64;
}
