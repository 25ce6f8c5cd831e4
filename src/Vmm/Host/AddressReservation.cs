using System.Runtime.InteropServices;

namespace WebVm.Vmm.Host;

/// <summary>
/// A range of host address space (mmap(2)). It costs nothing until files are placed in it, and a file taken out again
/// leaves zero-filled private pages behind, so that a late access by another thread harms nobody.
/// </summary>
public sealed unsafe partial class AddressReservation : IDisposable
{
    private const int ProtectionNone = 0;
    private const int ProtectionReadWrite = 1 | 2; // PROT_READ | PROT_WRITE
    private const int MapShared = 0x01;
    private const int MapPrivate = 0x02;
    private const int MapFixed = 0x10;
    private const int MapAnonymous = 0x20;
    private const int MapNoReserve = 0x4000;

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
    public static AddressReservation Inaccessible(ulong size) => new(Map(null, size, ProtectionNone, MapPrivate | MapAnonymous | MapNoReserve, -1, 0), size);

    /// <summary>Reserves zero-filled memory; a page is only taken from the host when first written.</summary>
    public static AddressReservation Zeroed(ulong size) => new(Map(null, size, ProtectionReadWrite, MapPrivate | MapAnonymous | MapNoReserve, -1, 0), size);

    /// <summary>Maps the whole of <paramref name="file"/> at <paramref name="offset"/> bytes into the reservation.</summary>
    public void Place(MemoryFile file, ulong offset)
    {
        CheckRange(offset, file.Size);
        Map(_base + offset, file.Size, ProtectionReadWrite, MapShared | MapFixed | MapNoReserve, file.Descriptor.Number, 0);
    }

    /// <summary>Takes whatever lies at <paramref name="offset"/> out again.</summary>
    public void Clear(ulong offset, ulong size)
    {
        CheckRange(offset, size);
        Map(_base + offset, size, ProtectionReadWrite, MapPrivate | MapAnonymous | MapNoReserve | MapFixed, -1, 0);
    }

    public void Dispose()
    {
        if (_base != null)
        {
            _ = Munmap(_base, (nuint)Size);
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
        void* result = Mmap(address, (nuint)size, protection, flags, descriptor, offset);
        return result == (void*)-1 ? throw LinuxException.Last("mmap") : (byte*)result;
    }

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static partial void* Mmap(void* address, nuint length, int protection, int flags, int descriptor, long offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    private static partial int Munmap(void* address, nuint length);
}
