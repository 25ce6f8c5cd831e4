namespace WebVm.Vmm.Firmware.Boot;

/// <summary>An executable ELF file for x86, 32 or 64 bits (System V ABI, chapters 4 and 5), with its headers validated.</summary>
internal sealed class ElfImage
{
    /// <summary>Kernels have a handful of segments; more are refused, which bounds the work for a hostile file.</summary>
    public const int MaximumSegments = 256;

    /// <summary>Bytes of all notes that are looked at.</summary>
    private const ulong MaximumNotes = 1 << 20;

    private const uint Magic = 0x464c_457f;
    private const byte Class32 = 1;
    private const byte Class64 = 2;
    private const byte LittleEndian = 1;
    private const ushort TypeExecutable = 2;
    private const ushort TypeShared = 3;
    private const ushort Machine386 = 3;
    private const ushort MachineX64 = 62;
    private const uint SegmentLoad = 1;
    private const uint SegmentNote = 4;

    private readonly BootFile _file;
    private readonly Segment[] _segments;

    private ElfImage(BootFile file, bool is64Bit, ulong entry, Segment[] segments)
    {
        _file = file;
        Is64Bit = is64Bit;
        Entry = entry;
        _segments = segments;
    }

    public bool Is64Bit { get; }

    /// <summary>e_entry.</summary>
    public ulong Entry { get; }

    public static bool IsPresent(BootFile file) => file.Has(0, 4) && file.UInt32(0, "ELF magic") == Magic;

    public static ElfImage Read(BootFile file)
    {
        if (!IsPresent(file))
        {
            throw file.Fault("not an ELF file");
        }

        byte fileClass = file.Byte(4, "ELF class");
        bool is64Bit = fileClass == Class64;
        if (fileClass is not (Class32 or Class64) || file.Byte(5, "ELF byte order") != LittleEndian)
        {
            throw file.Fault("not a little-endian 32-bit or 64-bit ELF file");
        }

        ushort type = file.UInt16(16, "ELF type");
        ushort machine = file.UInt16(18, "ELF machine");
        if (type is not (TypeExecutable or TypeShared))
        {
            throw file.Fault($"ELF type {type} is not an executable");
        }

        if (machine != (is64Bit ? MachineX64 : Machine386))
        {
            throw file.Fault($"ELF machine {machine} is not {(is64Bit ? "x86-64" : "i386")}");
        }

        ulong entry = is64Bit ? file.UInt64(24, "ELF entry") : file.UInt32(24, "ELF entry");
        ulong tableOffset = is64Bit ? file.UInt64(32, "ELF program header offset") : file.UInt32(28, "ELF program header offset");
        ushort entrySize = file.UInt16(is64Bit ? 54UL : 42UL, "ELF program header size");
        ushort count = file.UInt16(is64Bit ? 56UL : 44UL, "ELF program header count");
        int needed = is64Bit ? 56 : 32;
        if (entrySize < needed)
        {
            throw file.Fault($"ELF program headers of {entrySize} bytes are shorter than {needed}");
        }

        if (count > MaximumSegments)
        {
            throw file.Fault($"has {count} program headers, more than {MaximumSegments}");
        }

        file.Slice(tableOffset, (ulong)entrySize * count, "the ELF program header table");
        var segments = new Segment[count];
        for (int i = 0; i < count; i++)
        {
            ulong at = tableOffset + ((ulong)i * entrySize);
            segments[i] = is64Bit
                ? new Segment(
                    file.UInt32(at, "p_type"), file.UInt64(at + 8, "p_offset"), file.UInt64(at + 16, "p_vaddr"),
                    file.UInt64(at + 24, "p_paddr"),
                    file.UInt64(at + 32, "p_filesz"), file.UInt64(at + 40, "p_memsz"), file.UInt64(at + 48, "p_align"))
                : new Segment(
                    file.UInt32(at, "p_type"), file.UInt32(at + 4, "p_offset"), file.UInt32(at + 8, "p_vaddr"),
                    file.UInt32(at + 12, "p_paddr"),
                    file.UInt32(at + 16, "p_filesz"), file.UInt32(at + 20, "p_memsz"), file.UInt32(at + 28, "p_align"));
        }

        return new ElfImage(file, is64Bit, entry, segments);
    }

    /// <summary>Places every PT_LOAD segment at its physical address, bytes beyond the file's zeroed.</summary>
    /// <returns>The lowest address and the first one behind the highest.</returns>
    public (ulong Start, ulong End) LoadByPhysicalAddress(BootMemory memory)
    {
        ulong start = ulong.MaxValue, end = 0;
        foreach (var segment in _segments)
        {
            if (segment.Type != SegmentLoad || segment.MemorySize == 0)
            {
                continue;
            }

            if (segment.FileSize > segment.MemorySize)
            {
                throw _file.Fault($"the ELF segment at 0x{segment.PhysicalAddress:x} has more bytes in the file than in memory");
            }

            var contents = _file.Slice(segment.Offset, segment.FileSize, "an ELF segment");
            memory.Take("an ELF segment", segment.PhysicalAddress, segment.MemorySize);
            memory.Write(segment.PhysicalAddress, contents);
            memory.Clear(segment.PhysicalAddress + segment.FileSize, segment.MemorySize - segment.FileSize);
            start = Math.Min(start, segment.PhysicalAddress);
            end = Math.Max(end, segment.PhysicalAddress + segment.MemorySize);
        }

        return end > 0 ? (start, end) : throw _file.Fault("has no ELF segment to load");
    }

    /// <summary>
    /// The entry point as a physical address, when <see cref="Entry"/> is given in the virtual addresses of a loaded segment.
    /// </summary>
    public ulong PhysicalEntry
    {
        get
        {
            foreach (var segment in _segments)
            {
                if (segment.Type == SegmentLoad && Entry >= segment.VirtualAddress && Entry - segment.VirtualAddress < segment.MemorySize)
                {
                    return unchecked(segment.PhysicalAddress + (Entry - segment.VirtualAddress));
                }
            }

            return Entry;
        }
    }

    /// <summary>The descriptor of the first note with that owner and type, or null.</summary>
    public ReadOnlyMemory<byte>? FindNote(ReadOnlySpan<byte> owner, uint type)
    {
        ulong budget = MaximumNotes;
        foreach (var segment in _segments)
        {
            if (segment.Type != SegmentNote || !_file.Has(segment.Offset, segment.FileSize))
            {
                continue;
            }

            ulong alignment = segment.Alignment == 8 ? 8UL : 4UL;
            ulong at = segment.Offset, end = segment.Offset + segment.FileSize;
            while (end - at >= 12 && budget >= 12)
            {
                ulong nameSize = _file.UInt32(at, "note");
                ulong size = _file.UInt32(at + 4, "note");
                uint noteType = _file.UInt32(at + 8, "note");
                ulong descriptor = at + 12 + Align(nameSize, alignment);
                if (descriptor > end || size > end - descriptor)
                {
                    break;
                }

                // The owner's terminating NUL is part of its name.
                if (noteType == type && nameSize == (ulong)owner.Length + 1
                    && _file.Slice(at + 12, (ulong)owner.Length, "note").SequenceEqual(owner))
                {
                    return _file.Data.Slice((int)descriptor, (int)size);
                }

                ulong next = descriptor + Align(size, alignment);
                budget -= Math.Min(budget, next - at);
                at = Math.Min(next, end);
            }
        }

        return null;

        static ulong Align(ulong value, ulong alignment) => (value + alignment - 1) & ~(alignment - 1);
    }

    private readonly record struct Segment(
        uint Type, ulong Offset, ulong VirtualAddress, ulong PhysicalAddress, ulong FileSize, ulong MemorySize, ulong Alignment);
}
