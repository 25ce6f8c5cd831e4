using System.Buffers.Binary;
using WebVm.Vmm.Firmware.Boot;

namespace WebVm.Vmm.Tests.Firmware.Boot;

/// <summary>Small kernel files of every format, made in memory.</summary>
internal static class SyntheticKernel
{
    public const ulong LoadAddress = 0x100_0000;
    public const int Sectors = 3;
    public const int ImageLength = 0x3000;
    public const uint InitSize = 0x40_0000;
    public const uint Phys32Entry = 18;

    /// <summary>A bzImage of protocol 2.15 with a recognizable body: byte n of the protected-mode image is n * 7.</summary>
    public static byte[] BzImage(ushort version = 0x20f, bool relocatable = true, ushort xloadflags = 1, uint commandLineSize = 2047)
    {
        byte[] file = new byte[((Sectors + 1) * 512) + ImageLength];
        file[0x1f1] = Sectors;
        UInt32(file, 0x1f4, ImageLength / 16);
        UInt16(file, 0x1fe, 0xaa55);
        file[0x200] = 0xeb;
        file[0x201] = 0x6a;
        UInt32(file, 0x202, 0x5372_6448);
        UInt16(file, 0x206, version);
        file[0x211] = 1;
        UInt32(file, 0x214, 0x10_0000);
        UInt32(file, 0x22c, 0x7fff_ffff);
        UInt32(file, 0x230, 0x20_0000);
        file[0x234] = relocatable ? (byte)1 : (byte)0;
        UInt16(file, 0x236, xloadflags);
        UInt32(file, 0x238, commandLineSize);
        UInt32(file, 0x248, 0x100);
        UInt32(file, 0x24c, 0x2000);
        UInt64(file, 0x258, LoadAddress);
        UInt32(file, 0x260, InitSize);
        for (int i = 0; i < ImageLength; i++)
        {
            file[((Sectors + 1) * 512) + i] = (byte)(i * 7);
        }

        return file;
    }

    /// <summary>A segment of an ELF file.</summary>
    public sealed record Segment(uint Type, ulong PhysicalAddress, byte[] Contents, ulong MemorySize, ulong VirtualAddress = 0);

    public static byte[] Elf64(ulong entry, params Segment[] segments)
    {
        int at = 64 + (segments.Length * 56);
        byte[] file = new byte[at + segments.Sum(segment => (segment.Contents.Length + 15) & ~15)];
        Identify(file, elfClass: 2, machine: 62);
        UInt64(file, 24, entry);
        UInt64(file, 32, 64);
        UInt16(file, 54, 56);
        UInt16(file, 56, (ushort)segments.Length);
        for (int i = 0; i < segments.Length; i++)
        {
            int header = 64 + (i * 56);
            UInt32(file, header, segments[i].Type);
            UInt64(file, header + 8, (ulong)at);
            UInt64(file, header + 16, segments[i].VirtualAddress);
            UInt64(file, header + 24, segments[i].PhysicalAddress);
            UInt64(file, header + 32, (ulong)segments[i].Contents.Length);
            UInt64(file, header + 40, segments[i].MemorySize);
            UInt64(file, header + 48, 4);
            segments[i].Contents.CopyTo(file, at);
            at += (segments[i].Contents.Length + 15) & ~15;
        }

        return file;
    }

    public static byte[] Elf32(uint entry, params Segment[] segments)
    {
        int at = 52 + (segments.Length * 32);
        byte[] file = new byte[at + segments.Sum(segment => (segment.Contents.Length + 15) & ~15)];
        Identify(file, elfClass: 1, machine: 3);
        UInt32(file, 24, entry);
        UInt32(file, 28, 52);
        UInt16(file, 42, 32);
        UInt16(file, 44, (ushort)segments.Length);
        for (int i = 0; i < segments.Length; i++)
        {
            int header = 52 + (i * 32);
            UInt32(file, header, segments[i].Type);
            UInt32(file, header + 4, (uint)at);
            UInt32(file, header + 8, (uint)segments[i].VirtualAddress);
            UInt32(file, header + 12, (uint)segments[i].PhysicalAddress);
            UInt32(file, header + 16, (uint)segments[i].Contents.Length);
            UInt32(file, header + 20, (uint)segments[i].MemorySize);
            UInt32(file, header + 28, 4);
            segments[i].Contents.CopyTo(file, at);
            at += (segments[i].Contents.Length + 15) & ~15;
        }

        return file;
    }

    public static byte[] Note(string owner, uint type, byte[] descriptor)
    {
        int nameRoom = (owner.Length + 1 + 3) & ~3;
        byte[] note = new byte[12 + nameRoom + ((descriptor.Length + 3) & ~3)];
        UInt32(note, 0, (uint)owner.Length + 1);
        UInt32(note, 4, (uint)descriptor.Length);
        UInt32(note, 8, type);
        System.Text.Encoding.ASCII.GetBytes(owner, note.AsSpan(12));
        descriptor.CopyTo(note, 12 + nameRoom);
        return note;
    }

    public static byte[] Pvh(uint entry = 0x20_0010) => Elf64(0x20_0000,
        new Segment(1, 0x20_0000, Pattern(0x1000), 0x3000),
        new Segment(4, 0, [.. Note("GNU", 1, new byte[16]), .. Note("Xen", Phys32Entry, BitConverter.GetBytes(entry))], 0));

    /// <summary>A Linux vmlinux that has a PVH entry beside its own.</summary>
    public static byte[] PvhLinux() => Elf64(0x20_0080,
        new Segment(1, 0x20_0000, Pattern(0x1000), 0x3000),
        new Segment(4, 0, [.. Note("Linux", 0x100, [0]), .. Note("Xen", Phys32Entry, BitConverter.GetBytes(0x20_0010))], 0));

    public static byte[] MultibootHeader(uint flags, params uint[] addressFields)
    {
        byte[] header = new byte[12 + (addressFields.Length * 4)];
        UInt32(header, 0, 0x1bad_b002);
        UInt32(header, 4, flags);
        UInt32(header, 8, unchecked(0u - 0x1bad_b002 - flags));
        for (int i = 0; i < addressFields.Length; i++)
        {
            UInt32(header, 12 + (i * 4), addressFields[i]);
        }

        return header;
    }

    /// <summary>ELF with a higher-half entry point, as many hobby kernels have.</summary>
    public static byte[] MultibootElf() => Elf32(0xc010_0040,
        new Segment(1, 0x10_0000, [.. MultibootHeader(3), .. Pattern(0x800)], 0x2000, VirtualAddress: 0xc010_0000));

    /// <summary>The a.out kludge: header at 0x20 of the file, image from 0x10 of the file on at 2 MiB, 0x100 bytes of BSS.</summary>
    public static byte[] MultibootKludge() =>
    [
        .. new byte[0x20],
        .. MultibootHeader(0x1_0001, 0x20_0010, 0x20_0000, 0x20_0400, 0x20_0500, 0x20_0080),
        .. Pattern(0x600),
    ];

    public static byte[] Pattern(int length)
    {
        byte[] bytes = new byte[length];
        for (int i = 0; i < length; i++)
        {
            bytes[i] = (byte)((i * 13) + 1);
        }

        return bytes;
    }

    public static BootFile File(byte[] bytes, string name = "kernel.bin") => new(name, bytes);

    public static void UInt16(byte[] file, int offset, ushort value) =>
        BinaryPrimitives.WriteUInt16LittleEndian(file.AsSpan(offset), value);

    public static void UInt32(byte[] file, int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(file.AsSpan(offset), value);

    public static void UInt64(byte[] file, int offset, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(file.AsSpan(offset), value);

    private static void Identify(byte[] file, byte elfClass, ushort machine)
    {
        UInt32(file, 0, 0x464c_457f);
        file[4] = elfClass;
        file[5] = 1;
        file[6] = 1;
        UInt16(file, 16, 2);
        UInt16(file, 18, machine);
        UInt32(file, 20, 1);
    }
}
