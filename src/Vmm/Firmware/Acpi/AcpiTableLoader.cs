using System.Buffers.Binary;
using System.Text;

namespace WebVm.Vmm.Firmware.Acpi;

/// <summary>
/// The tables in the form that guest firmware places itself: blobs whose pointers are offsets, and a script of commands that allocates
/// them, turns offsets into addresses and makes the checksums (QEMU hw/acpi/bios-linker-loader; read by SeaBIOS and OVMF through fw_cfg).
/// </summary>
public sealed class AcpiTableLoader
{
    public const string TablesFile = "etc/acpi/tables";
    public const string RootPointerFile = "etc/acpi/rsdp";
    public const string ScriptFile = "etc/table-loader";

    /// <summary>Bytes of one command.</summary>
    public const int CommandSize = 128;

    private const int FileNameSize = 56;
    private const uint Allocate = 1;
    private const uint AddPointer = 2;
    private const uint AddChecksum = 3;
    private const byte AnyZone = 1;

    /// <summary>0xe0000-0xfffff, where a root pointer is looked for.</summary>
    private const byte FirmwareSegment = 2;

    private const uint TablesAlignment = 64;
    private const uint RootPointerAlignment = 16;
    private const int XsdtAddressOffset = 24;

    private readonly List<byte> _script = [];

    public AcpiTableLoader(AcpiTableSet set)
    {
        Tables = new byte[set.Size];
        AppendAllocate(TablesFile, TablesAlignment, AnyZone);
        AppendAllocate(RootPointerFile, RootPointerAlignment, FirmwareSegment);
        foreach (var table in set.Tables)
        {
            int at = set.OffsetOf(table);
            table.FillPointers(target => (ulong)set.OffsetOf(target)).CopyTo(Tables, at);
            foreach (var pointer in table.Pointers)
            {
                AppendPointer(TablesFile, TablesFile, at + pointer.Offset, pointer.Size);
            }

            if (table.ChecksumAt is { } checksum)
            {
                AppendChecksum(TablesFile, at + checksum, at, table.Bytes.Length);
            }
        }

        RootPointer = set.BuildRootPointer(default);
        RootPointer[8] = 0;
        RootPointer[32] = 0;
        AppendPointer(RootPointerFile, TablesFile, XsdtAddressOffset, 8);
        AppendChecksum(RootPointerFile, 8, 0, 20);
        AppendChecksum(RootPointerFile, 32, 0, AcpiTableSet.RootPointerSize);
        Script = [.. _script];
    }

    /// <summary>Contents of <see cref="TablesFile"/>.</summary>
    public byte[] Tables { get; }

    /// <summary>Contents of <see cref="RootPointerFile"/>.</summary>
    public byte[] RootPointer { get; }

    /// <summary>Contents of <see cref="ScriptFile"/>.</summary>
    public byte[] Script { get; }

    private void AppendAllocate(string file, uint alignment, byte zone)
    {
        Span<byte> command = stackalloc byte[CommandSize];
        Begin(command, Allocate, file);
        BinaryPrimitives.WriteUInt32LittleEndian(command[(4 + FileNameSize)..], alignment);
        command[4 + FileNameSize + 4] = zone;
        _script.AddRange(command);
    }

    private void AppendPointer(string inFile, string toFile, int offset, int size)
    {
        Span<byte> command = stackalloc byte[CommandSize];
        Begin(command, AddPointer, inFile);
        Encoding.ASCII.GetBytes(toFile, command[(4 + FileNameSize)..]);
        BinaryPrimitives.WriteUInt32LittleEndian(command[(4 + (2 * FileNameSize))..], (uint)offset);
        command[4 + (2 * FileNameSize) + 4] = (byte)size;
        _script.AddRange(command);
    }

    private void AppendChecksum(string file, int offset, int start, int length)
    {
        Span<byte> command = stackalloc byte[CommandSize];
        Begin(command, AddChecksum, file);
        BinaryPrimitives.WriteUInt32LittleEndian(command[(4 + FileNameSize)..], (uint)offset);
        BinaryPrimitives.WriteUInt32LittleEndian(command[(4 + FileNameSize + 4)..], (uint)start);
        BinaryPrimitives.WriteUInt32LittleEndian(command[(4 + FileNameSize + 8)..], (uint)length);
        _script.AddRange(command);
    }

    private static void Begin(Span<byte> command, uint kind, string file)
    {
        command.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(command, kind);
        Encoding.ASCII.GetBytes(file, command[4..]);
    }
}
