using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using WebVm.Vmm.Host;

namespace WebVm.Vmm.Confinement.Keeping;

/// <summary>
/// The code of a program that runs at the addresses it was linked for (System V ABI, "Object Files"), and the names of its functions, from
/// the symbols that are kept in a file beside it (.dbg). Read when it is asked, so that nobody holds it in memory.
/// </summary>
internal sealed class ProgramImage : IDisposable
{
    private const int HeaderSize = 64; // Elf64_Ehdr
    private const int ProgramHeaderSize = 56; // Elf64_Phdr
    private const int SectionHeaderSize = 64; // Elf64_Shdr
    private const int SymbolSize = 24; // Elf64_Sym
    private const int SymbolsAtOnce = 1024;
    private const uint Loaded = 1; // PT_LOAD
    private const uint Executable = 1; // PF_X
    private const uint SymbolTable = 2; // SHT_SYMTAB
    private const int LongestCall = 7;
    private const int LongestName = 200;

    /// <summary>Of functions whose length is not told: of further ones it is not known that they are the same.</summary>
    private const ulong LongestUnknown = 4096;

    private readonly FileDescriptor _program;
    private readonly FileDescriptor? _symbols;
    private readonly List<(ulong Start, ulong Size, long Offset)> _code = [];

    private ProgramImage(FileDescriptor program, FileDescriptor? symbols)
    {
        (_program, _symbols) = (program, symbols);
        Span<byte> header = stackalloc byte[HeaderSize];
        Read(program, 0, header);
        long table = BinaryPrimitives.ReadInt64LittleEndian(header[32..]);
        Span<byte> segment = stackalloc byte[ProgramHeaderSize];
        for (int index = 0; index < BinaryPrimitives.ReadUInt16LittleEndian(header[56..]); index++)
        {
            Read(program, table + (index * ProgramHeaderSize), segment);
            if (BinaryPrimitives.ReadUInt32LittleEndian(segment) == Loaded
                && (BinaryPrimitives.ReadUInt32LittleEndian(segment[4..]) & Executable) != 0)
            {
                _code.Add(
                    (BinaryPrimitives.ReadUInt64LittleEndian(
                        segment[16..]), BinaryPrimitives.ReadUInt64LittleEndian(
                            segment[32..]), BinaryPrimitives.ReadInt64LittleEndian(segment[8..])));
            }
        }
    }

    /// <returns>Null when the program is not there any more.</returns>
    public static ProgramImage? TryOpen(string program)
    {
        try
        {
            string symbols = program + ".dbg";
            return new ProgramImage(
                UntrustedFile.Open(program, Links.Follow), File.Exists(symbols) ? UntrustedFile.Open(symbols, Links.Follow) : null);
        }
        catch (Exception failure) when (failure is InvalidDataException or LinuxException)
        {
            return null;
        }
    }

    /// <summary>
    /// Whether an instruction that calls stands before the address: what is on a stack and is such an address is likely one to return to.
    /// </summary>
    public bool IsReturn(ulong address)
    {
        foreach (var (start, size, offset) in _code)
        {
            if (address - start is >= LongestCall and var within && within < size)
            {
                Span<byte> before = stackalloc byte[LongestCall];
                Read(_program, offset + (long)within - LongestCall, before);
                return IsCall(before);
            }
        }

        return false;
    }

    /// <summary>The functions that the addresses are in, with the distance from their beginning; empty where none is known.</summary>
    public string[] Names(IReadOnlyList<ulong> addresses)
    {
        string[] names = new string[addresses.Count];
        Array.Fill(names, "");
        if (_symbols is null)
        {
            return names;
        }

        var nearest = new (ulong Value, uint Name)[addresses.Count];
        var (table, size, strings) = FindSymbols(_symbols);
        byte[] several = new byte[SymbolSize * SymbolsAtOnce];
        for (long at = 0; at + SymbolSize <= size; at += several.Length)
        {
            var read = several.AsSpan(0, (int)Math.Min(several.Length, size - at));
            Read(_symbols, table + at, read);
            for (; read.Length >= SymbolSize; read = read[SymbolSize..])
            {
                ulong value = BinaryPrimitives.ReadUInt64LittleEndian(
                    read[8..]), length = BinaryPrimitives.ReadUInt64LittleEndian(read[16..]);
                for (int index = 0; index < nearest.Length; index++)
                {
                    // Hand-written functions have no length.
                    if (value >= nearest[index].Value && value <= addresses[index]
                        && addresses[index] - value < (length == 0 ? LongestUnknown : length) && (read[4] & 0xf) is 0 or 2)
                    {
                        nearest[index] = (value, BinaryPrimitives.ReadUInt32LittleEndian(read));
                    }
                }
            }
        }

        for (int index = 0; index < names.Length; index++)
        {
            if (nearest[index].Value != 0)
            {
                names[index] = string.Create(
                    CultureInfo.InvariantCulture, $"{NameAt(strings + nearest[index].Name)}+0x{addresses[index] - nearest[index].Value:x}");
            }
        }

        return names;
    }

    public void Dispose()
    {
        _program.Dispose();
        _symbols?.Dispose();
    }

    /// <summary>CALL rel32, or CALL r/m64 of any length (SDM Vol. 2A).</summary>
    private static bool IsCall(ReadOnlySpan<byte> before)
    {
        if (before[^5] == 0xe8)
        {
            return true;
        }

        for (int length = 2; length <= LongestCall; length++)
        {
            if (before[^length] == 0xff && (before[^(length - 1)] & 0b00_111_000) == 0b00_010_000)
            {
                return true;
            }
        }

        return false;
    }

    private static (long Table, long Size, long Strings) FindSymbols(FileDescriptor file)
    {
        Span<byte> header = stackalloc byte[HeaderSize];
        Read(file, 0, header);
        long sections = BinaryPrimitives.ReadInt64LittleEndian(header[40..]);
        Span<byte> section = stackalloc byte[SectionHeaderSize];
        for (int index = 0; index < BinaryPrimitives.ReadUInt16LittleEndian(header[60..]); index++)
        {
            Read(file, sections + (index * SectionHeaderSize), section);
            if (BinaryPrimitives.ReadUInt32LittleEndian(section[4..]) == SymbolTable)
            {
                long table = BinaryPrimitives.ReadInt64LittleEndian(
                    section[24..]), size = BinaryPrimitives.ReadInt64LittleEndian(section[32..]);
                Read(file, sections + (BinaryPrimitives.ReadUInt32LittleEndian(section[40..]) * SectionHeaderSize), section);
                return (table, size, BinaryPrimitives.ReadInt64LittleEndian(section[24..]));
            }
        }

        return default;
    }

    private string NameAt(long offset)
    {
        Span<byte> name = stackalloc byte[LongestName];
        int read = SparseFile.Read(_symbols!, offset, name);
        int end = name[..read].IndexOf((byte)0);
        return Encoding.UTF8.GetString(name[..(end < 0 ? read : end)]);
    }

    // What is beyond the end is zero, and means nothing.
    private static void Read(FileDescriptor file, long offset, Span<byte> buffer) =>
        buffer[SparseFile.Read(file, offset, buffer)..].Clear();
}
