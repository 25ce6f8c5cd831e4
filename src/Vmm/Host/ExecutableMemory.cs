using Tmds.Linux;

namespace WebVm.Vmm.Host;

/// <summary>
/// A bounded arena of host machine code. One memory file is mapped twice, once writable and once executable, so that no page is
/// ever both (W^X). Code is only ever appended; it lives as long as its owner.
/// </summary>
public sealed unsafe class ExecutableMemory : IDisposable
{
    private const int Alignment = 16;

    private readonly Lock _gate = new();
    private readonly MemoryFile _file;
    private byte* _writable;
    private byte* _executable;

    /// <param name="name">Shown in /proc/PID/maps.</param>
    /// <param name="size">Bytes of address space; pages are taken from the host as they fill.</param>
    /// <exception cref="LinuxException">The host refuses memory or executable mappings.</exception>
    public ExecutableMemory(string name, ulong size)
    {
        Size = size;
        _file = MemoryFile.Create(name, size);
        try
        {
            _writable = Map(LibC.PROT_READ | LibC.PROT_WRITE);
            _executable = Map(LibC.PROT_READ | LibC.PROT_EXEC);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Bytes.</summary>
    public ulong Size { get; }

    /// <summary>Bytes taken so far.</summary>
    public ulong Used { get; private set; }

    /// <summary>Copies position-independent code in and returns the address to call, or 0 when the arena is full. Any thread.</summary>
    public nint Append(ReadOnlySpan<byte> code)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_executable == null, this);
            if ((ulong)code.Length > Size - Used)
            {
                return 0;
            }

            ulong start = Used;
            code.CopyTo(new Span<byte>(_writable + start, code.Length));
            Used = Math.Min(Size, (start + (ulong)code.Length + Alignment - 1) & ~(ulong)(Alignment - 1));
            return (nint)(_executable + start);
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            if (_writable != null)
            {
                _ = LibC.munmap(_writable, (size_t)Size);
                _writable = null;
            }

            if (_executable != null)
            {
                _ = LibC.munmap(_executable, (size_t)Size);
                _executable = null;
            }

            _file.Dispose();
        }
    }

    private byte* Map(int protection)
    {
        void* result = LibC.mmap(null, (size_t)Size, protection, LibC.MAP_SHARED, _file.Descriptor.Number, 0);
        return result == (void*)-1 ? throw LinuxException.Last("mmap") : (byte*)result;
    }
}
