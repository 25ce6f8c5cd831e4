using System.Text.Json.Serialization;
using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Memory;
using WebVm.Vmm.State;

namespace WebVm.Guest.Tests.OwnDevice;

[DeviceKind("example.second-name", "shows a page of memory at another address too")]
internal sealed class SecondNameKind : IDeviceKind<NoSettings>
{
    public static Placement? Placement { get; } = new(PortConnection.Instance, 0x338);

    public static IEnumerable<Claim> Claims(DevicePlace at, NoSettings settings) => [Claim.Ports(at.Address, SecondName.PortCount)];

    public static IDevice Create(DeviceSite site, NoSettings settings) =>
        new SecondName((ushort)site.At.Address, site.Memory) { Name = site.Id };
}

/// <summary>
/// What a chipset does with ROM and system management memory: the number of a page is written, and the page is seen at <see cref="At"/>
/// too.
/// </summary>
public sealed class SecondName(ushort port, GuestMemory memory) : IDevice, IPortMapped, IPortHandler, ISavedState<SecondNameState>
{
    public const int PortCount = 4;

    private readonly Lock _lock = new();
    private uint _page;
    private uint _written;

    public static GuestPhysicalAddress At => new(0xfed9_0000);

    public required string Name { get; init; }

    public StateSchema<SecondNameState> Schema => SecondNameStateJson.Schema;

    public IReadOnlyList<PortWindow> PortWindows => [new PortWindow(port, PortCount, this) { Width = 1 }];

    public void Reset() => Show(0);

    public uint ReadPort(int offset, int size)
    {
        lock (_lock)
        {
            return _page;
        }
    }

    /// <summary>Byte by byte; the highest takes effect.</summary>
    public void WritePort(int offset, int size, uint value)
    {
        lock (_lock)
        {
            int shift = offset * 8;
            _written = (_written & ~(0xffu << shift)) | ((value & 0xff) << shift);
            if (offset == PortCount - 1)
            {
                Show(_written);
            }
        }
    }

    public SecondNameState Save()
    {
        lock (_lock)
        {
            return new SecondNameState(_page);
        }
    }

    public void Load(SecondNameState state) => Show(state.Page);

    private void Show(uint page)
    {
        lock (_lock)
        {
            _page = _written = page;
            const ulong size = GuestPhysicalAddress.PageSize;
            var address = new GuestPhysicalAddress(page * size);
            if (page != 0 && memory.TryFind(address, out var mapping) && mapping.Region.Kind == GuestMemoryKind.Ram)
            {
                memory.Remap(At, size, mapping with { At = At, Offset = mapping.Offset + (address - mapping.At), Size = size });
            }
            else
            {
                memory.Remap(At, size);
            }
        }
    }
}

public sealed record SecondNameState(uint Page);

[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(SecondNameState), TypeInfoPropertyName = "State")]
internal sealed partial class SecondNameStateJson : JsonSerializerContext
{
    public static StateSchema<SecondNameState> Schema { get; } = new("second-name", new SecondNameStateJson(StrictJson.NewOptions()).State);
}
