using Tmds.Linux;

namespace WebVm.Vmm.Host;

/// <summary>
/// A range of host address space (mmap(2)). It costs nothing until files are placed in it, and a file taken out again
/// leaves zero-filled private pages behind, so that a late access by another thread harms nobody.
/// </summary>
public sealed unsafe class AddressReservation : IDisposable
{
    private static int ReadWrite => LibC.PROT_READ | LibC.PROT_WRITE;

    private byte* _base;

    private AddressReservation(byte* start, ulong size)
    {
        _base = start;
        Size = size;
    }

    public byte* Base => _base;

    /// <summary>Bytes.</summary>
    public ulong Size { get; }

    /// <summary>Reserves inaccessible address space.</summary>
    public static AddressReservation Inaccessible(ulong size) =>
        new(Map(null, size, LibC.PROT_NONE, LibC.MAP_PRIVATE | LibC.MAP_ANONYMOUS | LibC.MAP_NORESERVE, -1, 0), size);

    /// <summary>Reserves zero-filled memory; a page is only taken from the host when first written.</summary>
    public static AddressReservation Zeroed(ulong size) =>
        new(Map(null, size, ReadWrite, LibC.MAP_PRIVATE | LibC.MAP_ANONYMOUS | LibC.MAP_NORESERVE, -1, 0), size);

    /// <summary>Maps the whole of <paramref name="file"/> at <paramref name="offset"/> bytes into the reservation.</summary>
    public void Place(MemoryFile file, ulong offset)
    {
        CheckRange(offset, file.Size);
        byte* at = Map(
            _base + offset, file.Size, ReadWrite, LibC.MAP_SHARED | LibC.MAP_FIXED | LibC.MAP_NORESERVE, file.Descriptor.Number, 0);
        // What a guest has in its memory is nobody's to read in a core file.
        if (LibC.madvise(at, (size_t)file.Size, LibC.MADV_DONTDUMP) != 0)
        {
            throw LinuxException.Last("madvise");
        }
    }

    /// <summary>Takes whatever lies at <paramref name="offset"/> out again.</summary>
    public void Clear(ulong offset, ulong size)
    {
        CheckRange(offset, size);
        Map(_base + offset, size, ReadWrite, LibC.MAP_PRIVATE | LibC.MAP_ANONYMOUS | LibC.MAP_NORESERVE | LibC.MAP_FIXED, -1, 0);
    }

    /// <summary>Gives the host back what it holds of private memory here: it reads as zeros, and is taken anew when written.</summary>
    public void Discard() => Discard(0, Size);

    /// <inheritdoc cref="Discard()"/>
    public void Discard(ulong offset, ulong size)
    {
        CheckRange(offset, size);
        if (LibC.madvise(_base + offset, (size_t)size, LibC.MADV_DONTNEED) != 0)
        {
            throw LinuxException.Last("madvise");
        }
    }

    public void Dispose()
    {
        if (_base != null)
        {
            _ = LibC.munmap(_base, (size_t)Size);
            _base = null;
        }
    }

    private void CheckRange(ulong offset, ulong size)
    {
        ObjectDisposedException.ThrowIf(_base == null, this);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, Size);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(size, Size - offset);
    }

    private static byte* Map(void* address, ulong size, int protection, int flags, int descriptor, long offset)
    {
        void* result = LibC.mmap(address, (size_t)size, protection, flags, descriptor, offset);
        return result == (void*)-1 ? throw LinuxException.Last("mmap") : (byte*)result;
    }
}
