using System.Buffers.Binary;
using System.Text;

namespace WebVm.Vmm.Devices.FirmwareConfig;

/// <summary>
/// What fw_cfg offers: items by selector and named files, filled before the guest starts; what depends on what the guest has set up, when
/// it is asked for.
/// </summary>
public sealed class FwCfgItems
{
    /// <summary>Bytes of a directory entry: size, selector, reserved, name (linux/qemu_fw_cfg.h, struct fw_cfg_file).</summary>
    private const int EntrySize = 64;
    private const int NameSize = 56;
    private const int MaximumFiles = 0x1000;

    /// <summary>Bit 1 of the interface version: DMA.</summary>
    private const byte Traditional = 1 << 0;
    private const byte Dma = 1 << 1;

    private readonly Dictionary<ushort, ReadOnlyMemory<byte>> _items = [];
    private readonly SortedDictionary<string, ReadOnlyMemory<byte>> _files = new(StringComparer.Ordinal);

    public FwCfgItems()
    {
        Add(FwCfgKey.Signature, "QEMU"u8.ToArray());
        Add(FwCfgKey.InterfaceVersion, new byte[] { Traditional | Dma, 0, 0, 0 });
        Publish();
    }

    /// <summary>Called before an item is looked at, to bring what has become another in line. Files keep their names.</summary>
    public Action? Refresh { get; set; }

    public void Add(ushort key, ReadOnlyMemory<byte> data) => _items[key] = data;

    public void Add(ushort key, ushort value)
    {
        byte[] data = new byte[2];
        BinaryPrimitives.WriteUInt16LittleEndian(data, value);
        Add(key, data);
    }

    public void Add(ushort key, uint value)
    {
        byte[] data = new byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(data, value);
        Add(key, data);
    }

    public void Add(ushort key, ulong value)
    {
        byte[] data = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(data, value);
        Add(key, data);
    }

    /// <summary>Adds or replaces a named file such as "etc/acpi/tables". Selectors follow the names' order.</summary>
    /// <param name="name">Up to 55 ASCII characters.</param>
    public void AddFile(string name, ReadOnlyMemory<byte> data)
    {
        if (name.Length is 0 or >= NameSize || !Ascii.IsValid(name))
        {
            throw new ArgumentException($"'{name}' is not a name of 1 to 55 ASCII characters.", nameof(name));
        }

        if (_files.Count >= MaximumFiles)
        {
            throw new InvalidOperationException("fw_cfg has no selector left.");
        }

        _files[name] = data;
        Publish();
    }

    /// <summary>The item's data; nothing for a selector that is not used.</summary>
    public bool TryGet(ushort key, out ReadOnlyMemory<byte> data) => _items.TryGetValue(key, out data);

    /// <summary>The selector of a file, or null.</summary>
    public ushort? SelectorOf(string name)
    {
        int index = _files.Keys.ToList().IndexOf(name);
        return index < 0 ? null : (ushort)(FwCfgKey.FirstFile + index);
    }

    private void Publish()
    {
        byte[] directory = new byte[4 + (_files.Count * EntrySize)];
        BinaryPrimitives.WriteUInt32BigEndian(directory, (uint)_files.Count);
        ushort key = FwCfgKey.FirstFile;
        int at = 4;
        foreach (var (name, data) in _files)
        {
            var entry = directory.AsSpan(at, EntrySize);
            BinaryPrimitives.WriteUInt32BigEndian(entry, (uint)data.Length);
            BinaryPrimitives.WriteUInt16BigEndian(entry[4..], key);
            Encoding.ASCII.GetBytes(name, entry[8..]);
            _items[key++] = data;
            at += EntrySize;
        }

        _items[FwCfgKey.FileDirectory] = directory;
    }
}
