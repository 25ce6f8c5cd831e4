using System.Text.Json.Serialization;
using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Pci;
using WebVm.Vmm.Memory;
using WebVm.Vmm.State;

namespace WebVm.Guest.Tests.OwnDevice;

[DeviceKind("example.scratchpad", "a PCI function with memory of its own, and nothing else")]
internal sealed class ScratchpadKind : IDeviceKind<NoSettings>
{
    public static Placement? Placement { get; } = new(PciConnection.Instance);

    public static IDevice Create(DeviceSite site, NoSettings settings) => new Scratchpad(site.Id, site.Memory);
}

/// <summary>What can be plugged in while nobody of the machine looks at it.</summary>
public sealed class Scratchpad : IPciDevice, IDeviceMemory, ISavedState<ScratchpadState>
{
    public const ulong Size = 1 << 20;

    public Scratchpad(string name, GuestMemory memory)
    {
        Name = name;
        Memory = memory.CreateRegion(name, GuestMemoryKind.Device, Size);
        MemoryRegions = [Memory];
        // Memory that is no other class's (PCI Code and ID Assignment 1.11 §1.6): no driver of Linux wants it.
        Function = new PciFunction(new PciIdentity { Vendor = 0x1234, Device = 0x5c4a, ClassCode = 0x058000 });
        Function.AddBar(0, PciBar.ForMemory(Memory));
        Function.AddExpressCapability();
        Function.AddPowerManagement();
    }

    public string Name { get; }

    public PciFunction Function { get; }

    public GuestMemoryRegion Memory { get; }

    public IReadOnlyList<GuestMemoryRegion> MemoryRegions { get; }

    public StateSchema<ScratchpadState> Schema => ScratchpadStateJson.Schema;

    public void Reset() => Function.Reset();

    public ScratchpadState Save() => new(Function.Save());

    public void Load(ScratchpadState state) => Function.Load(state.Function);
}

public sealed record ScratchpadState(PciFunctionState Function);

[JsonSourceGenerationOptions(GenerationMode = JsonSourceGenerationMode.Metadata)]
[JsonSerializable(typeof(ScratchpadState), TypeInfoPropertyName = "State")]
internal sealed partial class ScratchpadStateJson : JsonSerializerContext
{
    public static StateSchema<ScratchpadState> Schema { get; } = new("scratchpad", new ScratchpadStateJson(StrictJson.NewOptions()).State);
}
