using System.Buffers.Binary;
using WebVm.Vmm.Host;

namespace WebVm.Vmm.Firmware.Boot;

/// <summary>A file handed to a boot loader: untrusted bytes, read with every offset checked.</summary>
/// <param name="Name">The file as the user named it; all errors begin with it.</param>
public sealed record BootFile(string Name, ReadOnlyMemory<byte> Data) : IDisposable
{
    /// <summary>Larger files are refused before they are read.</summary>
    public const int MaximumSize = 2_000_000_000;

    private IDisposable? _buffer;

    public ulong Length => (ulong)Data.Length;

    /// <summary>The last part of the name: what boot protocols hand to the guest.</summary>
    public string ShortName => Path.GetFileName(Name) is { Length: > 0 } name ? name : "kernel";

    /// <summary>Reads a file; its bytes can be used until it is disposed.</summary>
    /// <exception cref="BootException">The file cannot be read or is too large.</exception>
    public static BootFile Open(string path)
    {
        try
        {
            using var file = HandedFiles.OfProcess.Open(path, Links.Follow);
            var buffer = UntrustedFile.Read(file, path, MaximumSize, out var contents);
            return new BootFile(path, contents) { _buffer = buffer };
        }
        catch (Exception failure) when (failure is InvalidDataException or LinuxException)
        {
            throw new BootException(path, "cannot be read", failure);
        }
    }

    /// <summary>Whether the range lies in the file.</summary>
    public bool Has(ulong offset, ulong length) => offset <= Length && length <= Length - offset;

    /// <exception cref="BootException">The range leaves the file; the message says what was to be there.</exception>
    public ReadOnlySpan<byte> Slice(ulong offset, ulong length, string what) =>
        Has(offset, length)
            ? Data.Span.Slice((int)offset, (int)length)
            : throw Fault($"truncated: {what} at 0x{offset:x}, {length} bytes, lies outside the file of {Length} bytes");

    public byte Byte(ulong offset, string what) => Slice(offset, 1, what)[0];

    public ushort UInt16(ulong offset, string what) => BinaryPrimitives.ReadUInt16LittleEndian(Slice(offset, 2, what));

    public uint UInt32(ulong offset, string what) => BinaryPrimitives.ReadUInt32LittleEndian(Slice(offset, 4, what));

    public ulong UInt64(ulong offset, string what) => BinaryPrimitives.ReadUInt64LittleEndian(Slice(offset, 8, what));

    public void Dispose() => _buffer?.Dispose();

    internal BootException Fault(string reason) => new(Name, reason);
}
