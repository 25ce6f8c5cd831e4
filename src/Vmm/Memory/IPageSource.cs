namespace WebVm.Vmm.Memory;

/// <summary>Where the contents of pages come from that are absent at first.</summary>
public interface IPageSource
{
    /// <summary>
    /// Gives one page's contents; asked once for each page, by whichever thread touches it first, several pages at a time. False where
    /// they are zeros: nothing is written then, and no memory taken.
    /// </summary>
    /// <param name="offset">Bytes into the region.</param>
    /// <exception cref="IOException">The contents cannot be had; the page stays absent, and who touched it fails.</exception>
    bool TryFill(ulong offset, Span<byte> page);
}
