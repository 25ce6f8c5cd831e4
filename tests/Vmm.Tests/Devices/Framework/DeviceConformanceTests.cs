using System.Reflection;
using System.Runtime.CompilerServices;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Devices.Pci;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Tests.Architecture;
using WebVm.Vmm.Tests.Devices.Hostile;
using Xunit;

namespace WebVm.Vmm.Tests.Devices.Framework;

/// <summary>Rules that every device keeps, found by reflection so that a new one cannot forget them.</summary>
public sealed class DeviceConformanceTests
{
    private static readonly Type[] s_types = typeof(GuestMemory).Assembly.GetTypes();

    private static readonly Type[] s_devices = [.. s_types.Where(
        type => type is { IsClass: true, IsAbstract: false } && type.IsAssignableTo(typeof(IDevice)))];

    [Fact]
    public void Whatever_has_a_capability_of_a_device_is_a_device()
    {
        Type[] capabilities = [typeof(IPortMapped), typeof(IMemoryMapped), typeof(ISavedState), typeof(IPowerable), typeof(IEjectable),
            typeof(IDeviceMemory), typeof(IPciDevice)];
        Assert.NotEmpty(s_devices);
        foreach (var type in s_types.Where(type => type is { IsClass: true, IsAbstract: false }))
        {
            Assert.True(
                s_devices.Contains(type) || !capabilities.Any(type.IsAssignableTo), $"{type} has a device's capability and is none.");
        }
    }

    [Fact]
    public void Only_the_framework_knows_the_states_of_a_device()
    {
        string framework = typeof(DeviceNode).Namespace!;
        foreach (var type in s_types.Where(
            type => type.Namespace?.StartsWith("WebVm.Vmm.Devices", StringComparison.Ordinal) == true && type.Namespace != framework))
        {
            Assert.False(TypeUses.Of(type).Contains(typeof(DeviceLifecycle)), $"{type} looks at the lifecycle.");
        }
    }

    [Fact]
    public void A_device_with_registers_saves_them()
    {
        foreach (var device in s_devices.Where(device => !device.IsAssignableTo(typeof(ISavedState))))
        {
            var changing = device.GetFields(BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.Public)
                .Where(field => !field.IsInitOnly && !field.IsDefined(typeof(CompilerGeneratedAttribute)));
            // A primary constructor's parameters are mutable fields for the compiler only.
            var registers = changing.Where(field => !field.Name.Contains('<', StringComparison.Ordinal)).Select(field => field.Name)
                .ToArray();
            Assert.True(registers.Length == 0, $"{device} has {string.Join(", ", registers)} and no saved state.");
        }
    }

    [Fact]
    public void Schemas_and_names_are_unique()
    {
        using var platform = new WholePlatform();
        var devices = platform.Tree.Nodes.Select(node => node.Device).ToArray();
        Assert.Equal(devices.Length, devices.Select(device => device.Name).Distinct().Count());
        Assert.All(devices.OfType<ISavedState>(), device => Assert.True(device.Schema.Version >= 1 && device.Schema.Name.Length > 0));
        foreach (var group in devices.OfType<ISavedState>().GroupBy(device => device.Schema.Name))
        {
            Assert.Single(group.Select(device => device.GetType()).Distinct());
        }
    }

    [Fact]
    public void Every_device_of_the_machine_runs_and_goes_through_reset_power_down_and_power_up()
    {
        using var platform = new WholePlatform();
        Assert.All(platform.Tree.Nodes, node => Assert.Equal(DeviceLifecycle.Running, node.State));
        int windows = platform.Bus.Windows.Count;
        for (int round = 0; round < 3; round++)
        {
            platform.Tree.Stop();
            platform.Tree.Reset();
            platform.Tree.Start();
            platform.Tree.PowerDown();
            Assert.Empty(platform.Bus.Windows);
            Assert.All(platform.Tree.Nodes, node => Assert.Equal(DeviceLifecycle.Off, node.State));
            platform.PowerUp();
            platform.Tree.Start();
            Assert.Equal(windows, platform.Bus.Windows.Count);
        }

        Assert.Empty(platform.Faults);
    }

    [Fact]
    public void After_a_reset_every_device_is_as_after_power_on()
    {
        using var platform = new WholePlatform();
        platform.Clock.Stop();
        platform.Tree.Stop();
        platform.Tree.Reset();
        var fresh = platform.Tree.Save().ToDictionary(state => state.Unit, state => state.Body.GetRawText());
        platform.Tree.Start();
        var guest = new RandomGuest(platform, 1);
        for (int i = 0; i < 20_000; i++)
        {
            guest.Act();
        }

        platform.Tree.Stop();
        platform.Tree.Reset();
        foreach (var state in platform.Tree.Save().Where(state => state.Unit != "device/rtc"))
        {
            // The clock chip is on a battery: its time and its memory survive.
            Assert.Equal(fresh[state.Unit], state.Body.GetRawText());
        }
    }
}
