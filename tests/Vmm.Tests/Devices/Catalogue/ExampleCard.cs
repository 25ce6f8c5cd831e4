using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Pci;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Settings;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Tests.Devices.Catalogue;

public enum ExampleFault
{
    Nothing,
    Making,
    PoweringUp,
    Starting,
}

public sealed record ExampleCardSettings
{
    [Setting("what of it fails")]
    public ExampleFault Fails { get; init; }

    [Setting("it is the one of its machine")]
    public bool Single { get; init; }
}

[DeviceKind("example.card", "a PCI function with memory, registers and a timer")]
internal sealed class ExampleCardKind : IDeviceKind<ExampleCardSettings>
{
    public static Placement? Placement { get; } = new(PciConnection.Instance);

    public static IEnumerable<Claim> Claims(DevicePlace at, ExampleCardSettings settings) =>
        settings.Single ? [Claim.Only("the machine's card")] : [];

    public static IDevice Create(DeviceSite site, ExampleCardSettings settings)
    {
        var card = new ExampleCard(site.Memory, site.Timers, settings) { Name = site.Id };
        return settings.Fails != ExampleFault.Making ? card : throw new InvalidOperationException("no card");
    }
}

internal sealed class ExampleCard : IPciDevice, IDeviceMemory, IPowerable, IMmioHandler
{
    private readonly ExampleCardSettings _settings;

    public ExampleCard(GuestMemory memory, ITimerService timers, ExampleCardSettings settings)
    {
        _settings = settings;
        Timer = timers.CreateTimer(() => Expired.TrySetResult());
        Memory = memory.CreateRegion("card", GuestMemoryKind.Device, 1 << 20);
        Function = new PciFunction(new PciIdentity { Vendor = 0x1234, Device = 0x5678, ClassCode = 0xff0000 });
        Function.AddBar(0, PciBar.ForMemory(Memory));
        Function.AddBar(2, PciBar.ForRegisters(0x1000, this));
        Function.AddExpressCapability();
    }

    public required string Name { get; init; }

    public PciFunction Function { get; }

    public IVirtualTimer Timer { get; }

    public TaskCompletionSource Expired { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public GuestMemoryRegion Memory { get; }

    public IReadOnlyList<GuestMemoryRegion> MemoryRegions => [Memory];

    public bool HasPower { get; private set; }

    public void PowerUp()
    {
        Fail(ExampleFault.PoweringUp);
        HasPower = true;
    }

    public void PowerDown() => HasPower = false;

    public void Reset() => Function.Reset();

    public void Start() => Fail(ExampleFault.Starting);

    public ulong ReadMmio(ulong offset, int size) => offset;

    public void WriteMmio(ulong offset, int size, ulong value)
    {
    }

    private void Fail(ExampleFault at)
    {
        if (_settings.Fails == at)
        {
            throw new InvalidOperationException($"it fails {at}");
        }
    }
}
