using System.Buffers.Binary;
using System.Text;

namespace WebVm.Guest.Tests;

/// <summary>The structures of a Linux kernel as its type information (BTF, Documentation/bpf/btf.rst) tells them.</summary>
internal sealed class KernelTypes
{
    private const int TypeSize = 12;
    private const int MemberSize = 12;

    private readonly byte[] _section;
    private readonly int _strings;
    private readonly Dictionary<string, int> _structures = [];

    private KernelTypes(byte[] section)
    {
        _section = section;
        int header = Word(4);
        int at = header + Word(8);
        int end = at + Word(12);
        _strings = header + Word(16);
        while (at < end)
        {
            int information = Word(at + 4);
            int count = information & 0xffff;
            int kind = information >> 24 & 0x1f;
            if (kind == 4)
            {
                _structures.TryAdd(Text(Word(at)), at);
            }

            at += TypeSize + kind switch
            {
                1 or 14 or 17 => 4, // integer, variable, tag
                3 => 12, // array
                4 or 5 or 15 or 19 => count * 12, // structure, union, section, 64-bit enumeration
                6 or 13 => count * 8, // enumeration, function
                _ => 0,
            };
        }
    }

    /// <summary>Reads the type information of an uncompressed kernel.</summary>
    public static KernelTypes Of(string vmlinux)
    {
        byte[] elf = File.ReadAllBytes(vmlinux);
        long sections = BinaryPrimitives.ReadInt64LittleEndian(elf.AsSpan(0x28));
        int size = BinaryPrimitives.ReadUInt16LittleEndian(elf.AsSpan(0x3a));
        int names = BinaryPrimitives.ReadUInt16LittleEndian(elf.AsSpan(0x3e));
        for (int index = 0; index < BinaryPrimitives.ReadUInt16LittleEndian(elf.AsSpan(0x3c)); index++)
        {
            var section = Section(index);
            int name = (int)Offset(Section(names)) + BinaryPrimitives.ReadInt32LittleEndian(section);
            if (elf.AsSpan(name).StartsWith(".BTF\0"u8))
            {
                return new KernelTypes(
                    elf.AsSpan((int)Offset(section), (int)BinaryPrimitives.ReadInt64LittleEndian(section[0x20..])).ToArray());
            }
        }

        throw new InvalidDataException($"{vmlinux} has no type information.");

        ReadOnlySpan<byte> Section(int index) => elf.AsSpan((int)sections + (index * size), size);

        static long Offset(ReadOnlySpan<byte> section) => BinaryPrimitives.ReadInt64LittleEndian(section[0x18..]);
    }

    /// <summary>A structure's size and the offsets of its members, in bytes.</summary>
    public (int Size, IReadOnlyDictionary<string, int> Offsets) Structure(string name)
    {
        int at = _structures[name];
        int count = Word(at + 4) & 0xffff;
        return (Word(at + 8), Enumerable.Range(0, count).Select(index => at + TypeSize + (index * MemberSize))
            .ToDictionary(member => Text(Word(member)), member => (Word(member + 8) & 0xff_ffff) / 8));
    }

    private int Word(int at) => BinaryPrimitives.ReadInt32LittleEndian(_section.AsSpan(at));

    private string Text(int offset)
    {
        var text = _section.AsSpan(_strings + offset);
        return Encoding.UTF8.GetString(text[..text.IndexOf((byte)0)]);
    }
}
