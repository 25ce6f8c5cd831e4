using System.Buffers.Binary;
using System.Text;
using WebVm.Vmm.Host;

namespace WebVm.Vmm.Firmware.Boot;

/// <summary>
/// The page that a Linux kernel finds in RSI: struct boot_params (arch/x86/include/uapi/asm/bootparam.h), with what it points to
/// placed in guest memory.
/// </summary>
internal sealed class LinuxBootParameters
{
    internal const int Size = 4096;
    internal const int ExtVideoBase = 0x3a;
    internal const int AcpiRootPointer = 0x70;
    internal const int ExtRamdiskImage = 0xc0;
    internal const int ExtRamdiskSize = 0xc4;
    internal const int ExtCommandLine = 0xc8;
    internal const int MapEntryCount = 0x1e8;
    internal const int VideoMode = 0x1fa;
    internal const int TypeOfLoader = 0x210;
    internal const int LoadFlags = 0x211;
    internal const int Code32Start = 0x214;
    internal const int RamdiskImage = 0x218;
    internal const int RamdiskSize = 0x21c;
    internal const int CommandLinePointer = 0x228;
    internal const int SetupData = 0x250;
    internal const int MapTable = 0x2d0;
    internal const int MapEntrySize = 20;
    internal const int MapEntriesMax = 128;

    private const int HeaderStart = (int)LinuxSetupHeader.Start;
    private const int HeaderRoom = 0x290 - HeaderStart;

    /// <summary>Entropy that add_bootloader_randomness() credits.</summary>
    private const int SeedSize = 32;
    private const int SetupDataHeader = 16;
    private const uint SetupRngSeed = 9;

    /// <summary>A loader without a number of its own.</summary>
    private const byte UndefinedLoader = 0xff;

    /// <summary>"normal": the kernel keeps the mode that screen_info describes.</summary>
    private const ushort NormalVideoMode = 0xffff;

    private readonly byte[] _page = new byte[Size];

    public Span<byte> Page => _page;

    /// <summary>Starts from the header of a bzImage; the rest of the page is zero, as the sentinel at 0x1ef demands.</summary>
    public void CopyHeader(ReadOnlySpan<byte> header) => header[..Math.Min(header.Length, HeaderRoom)].CopyTo(_page.AsSpan(HeaderStart));

    /// <summary>A header for a kernel that comes without one (vmlinux): the fields that the kernel itself reads.</summary>
    public void CreateHeader()
    {
        WriteUInt16(0x1fe, 0xaa55);
        WriteUInt32(0x202, 0x5372_6448);
        WriteUInt16(0x206, 0x20f);
        WriteByte(LoadFlags, 1);
        WriteUInt32(0x230, 0x100_0000);
    }

    public void SetLoader(ulong loadAddress)
    {
        WriteByte(TypeOfLoader, UndefinedLoader);
        WriteUInt16(VideoMode, NormalVideoMode);
        WriteUInt32(Code32Start, (uint)loadAddress);
    }

    public void SetInitrd(ulong address, ulong length)
    {
        WriteUInt32(RamdiskImage, (uint)address);
        WriteUInt32(RamdiskSize, (uint)length);
        WriteUInt32(ExtRamdiskImage, (uint)(address >> 32));
        WriteUInt32(ExtRamdiskSize, (uint)(length >> 32));
    }

    public void SetCommandLine(ulong address)
    {
        WriteUInt32(CommandLinePointer, (uint)address);
        WriteUInt32(ExtCommandLine, (uint)(address >> 32));
    }

    public void SetMap(MemoryMap map, BootFile file)
    {
        if (map.Entries.Count > MapEntriesMax)
        {
            throw file.Fault($"the machine's memory map has {map.Entries.Count} entries, boot_params holds {MapEntriesMax}");
        }

        WriteByte(MapEntryCount, (byte)map.Entries.Count);
        for (int i = 0; i < map.Entries.Count; i++)
        {
            int at = MapTable + (i * MapEntrySize);
            WriteUInt64(at, map.Entries[i].Base.Value);
            WriteUInt64(at + 8, map.Entries[i].Length);
            WriteUInt32(at + 16, (uint)map.Entries[i].Type);
        }
    }

    public void SetAcpiRootPointer(ulong address) => WriteUInt64(AcpiRootPointer, address);

    /// <summary>
    /// Describes the framebuffer in screen_info as an EFI one: Linux's efifb and simpledrm take such a framebuffer at any address, without
    /// a VGA BIOS, and never touch VGA registers.
    /// </summary>
    public void SetFramebuffer(LinearFramebuffer framebuffer)
    {
        const byte videoTypeEfi = 0x70;
        const uint capability64BitBase = 1 << 1;
        WriteByte(0x0f, videoTypeEfi);
        WriteUInt16(0x12, (ushort)framebuffer.Width);
        WriteUInt16(0x14, (ushort)framebuffer.Height);
        WriteUInt16(0x16, 32);
        WriteUInt32(0x18, (uint)framebuffer.Base.Value);
        // Bytes for this type (64 KiB units for VESA).
        WriteUInt32(0x1c, (uint)framebuffer.Stride * (uint)framebuffer.Height);
        WriteUInt16(0x24, (ushort)framebuffer.Stride);
        ReadOnlySpan<byte> sizesAndPositions = [8, 16, 8, 8, 8, 0, 8, 24];
        sizesAndPositions.CopyTo(_page.AsSpan(0x26));
        WriteUInt16(0x32, 1);
        WriteUInt32(0x36, capability64BitBase);
        WriteUInt32(ExtVideoBase, (uint)(framebuffer.Base.Value >> 32));
    }

    /// <summary>Adds a setup_data node with a seed for the kernel's random number generator; the kernel erases it after use.</summary>
    public void SetRandomSeed(BootMemory memory, ReadOnlyMemory<byte>? given)
    {
        var seed = given ?? FreshSeed();
        if (seed.IsEmpty)
        {
            return;
        }

        byte[] node = new byte[SetupDataHeader + seed.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(node.AsSpan(8), SetupRngSeed);
        BinaryPrimitives.WriteUInt32LittleEndian(node.AsSpan(12), (uint)seed.Length);
        seed.Span.CopyTo(node.AsSpan(SetupDataHeader));
        WriteUInt64(SetupData, memory.Place("the random seed", node));
    }

    private static byte[] FreshSeed()
    {
        byte[] seed = new byte[SeedSize];
        RandomBytes.Fill(seed);
        return seed;
    }

    /// <summary>The command line as the guest reads it: NUL-terminated UTF-8.</summary>
    /// <param name="limit">Bytes without the NUL.</param>
    public static byte[] EncodeCommandLine(BootFile file, string commandLine, ulong limit)
    {
        if (commandLine.Contains('\0'))
        {
            throw file.Fault("the command line contains a NUL character");
        }

        int length = Encoding.UTF8.GetByteCount(commandLine);
        if ((ulong)length > limit)
        {
            throw file.Fault($"the command line has {length} bytes, this kernel takes {limit}");
        }

        byte[] bytes = new byte[length + 1];
        Encoding.UTF8.GetBytes(commandLine, bytes);
        return bytes;
    }

    private void WriteByte(int offset, byte value) => _page[offset] = value;

    private void WriteUInt16(int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(_page.AsSpan(offset), value);

    private void WriteUInt32(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(_page.AsSpan(offset), value);

    private void WriteUInt64(int offset, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(_page.AsSpan(offset), value);
}
