using System.Text;
using WebVm.Vmm.Devices.BuiltIn;
using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Chipset.HighPrecisionTimer;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Machine.Profiles;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Settings;
using WebVm.Vmm.Tests.Devices.Hostile;
using Xunit;

namespace WebVm.Vmm.Tests.Devices.Catalogue;

public sealed class CatalogueTests
{
    private static readonly DeviceCatalogue s_catalogue = BuiltInDevices.Catalogue.With(ExampleKinds.All);

    [Theory]
    [InlineData("""[{"kind":"timer.hpet"}]""", "/devices/0/id")]
    [InlineData("""[{"id":"a"}]""", "/devices/0/kind")]
    [InlineData("""[{"id":"a","kind":"timer.hpet","slot":1}]""", "/devices/0/slot")]
    [InlineData("""["a"]""", "/devices/0")]
    [InlineData("""{}""", "/devices")]
    [InlineData("""[{"id":"A","kind":"timer.hpet"}]""", "/devices/0/id")]
    [InlineData("""[{"id":"a","kind":"timer.hpett"}]""", "/devices/0/kind")]
    [InlineData("""[{"id":"a","kind":"clock.mc146818"},{"id":"a","kind":"timer.hpet"}]""", "/devices/1/id")]
    [InlineData("""[{"id":"a","kind":"timer.hpet","settings":{"speed":1}}]""", "/devices/0/settings/speed")]
    [InlineData("""[{"id":"a","kind":"timer.hpet","settings":[]}]""", "/devices/0/settings")]
    [InlineData("""[{"id":"a","kind":"timer.hpet","at":"mmio:fed00000"}]""", "/devices/0/at")]
    [InlineData("""[{"id":"a","kind":"timer.hpet"},{"id":"b","kind":"timer.hpet"}]""", "/devices/1")]
    [InlineData("""[{"id":"a","kind":"serial.16550","at":"3f8"}]""", "/devices/0/at")]
    [InlineData("""[{"id":"a","kind":"serial.16550","at":"mmio:3f8"}]""", "/devices/0/at")]
    [InlineData("""[{"id":"a","kind":"serial.16550","at":"port:10000"}]""", "/devices/0/at")]
    [InlineData("""[{"id":"a","kind":"serial.16550","at":"port:fffc"}]""", "/devices/0/at")]
    [InlineData("""[{"id":"a","kind":"serial.16550","at":"port:3f8"},{"id":"b","kind":"serial.16550","at":"port:3fc","settings":{"irq":5}}]""",
        "/devices/1/at")]
    [InlineData("""[{"id":"a","kind":"serial.16550"},{"id":"b","kind":"serial.16550","settings":{"irq":4}}]""", "/devices/1")]
    [InlineData("""[{"id":"a","kind":"serial.16550"},{"id":"b","kind":"serial.16550","at":"port:2f8","settings":{"irq":3}},{"id":"c","kind":"serial.16550","at":"port:3e8","settings":{"irq":3}}]""",
        "/devices/2/settings/irq")]
    [InlineData("""[{"id":"a","kind":"serial.16550","settings":{"irq":2}}]""", "/devices/0/settings/irq")]
    [InlineData("""[{"id":"a","kind":"serial.16550","settings":{"console":1}}]""", "/devices/0/settings/console")]
    [InlineData("""[{"id":"a","kind":"display.bochs"}]""", "/devices/0")]
    [InlineData("""[{"id":"a","kind":"display.bochs","at":"pci:01.0"}]""", "/devices/0/at")]
    [InlineData("""[{"id":"pci","kind":"pci.host-bridge"},{"id":"a","kind":"display.bochs","at":"pci:00.0"}]""", "/devices/1/at")]
    [InlineData("""[{"id":"pci","kind":"pci.host-bridge"},{"id":"a","kind":"display.bochs","at":"pci:20.0"}]""", "/devices/1/at")]
    [InlineData("""[{"id":"pci","kind":"timer.hpet"},{"id":"a","kind":"display.bochs","at":"pci:01.0"}]""", "/devices/1/at")]
    [InlineData("""[{"id":"pci","kind":"pci.host-bridge"},{"id":"p","kind":"pcie.root-port"},{"id":"a","kind":"display.bochs","at":"p:01.0"}]""",
        "/devices/2/at")]
    [InlineData("""[{"id":"pci","kind":"pci.host-bridge"},{"id":"p","kind":"pcie.root-port"},{"id":"q","kind":"pcie.root-port","at":"p:00.0"}]""",
        "/devices/2/at")]
    [InlineData("""[{"id":"pci","kind":"pci.host-bridge"},{"id":"p","kind":"pcie.root-port","at":"pci:01.0"},{"id":"q","kind":"pcie.root-port","at":"pci:02.0","settings":{"slot":8}}]""",
        "/devices/2/settings/slot")]
    [InlineData("""[{"id":"p","kind":"pcie.root-port"}]""", "/devices/0")]
    [InlineData("""[{"id":"a","kind":"example.bus","at":"a:a"}]""", "/devices/0/at")]
    [InlineData("""[{"id":"a","kind":"example.bus","at":"b:a"},{"id":"b","kind":"example.bus","at":"a:a"}]""", "/devices/1/at")]
    public void A_fault_of_a_device_is_named_by_its_pointer(string devices, string pointer)
    {
        Assert.Null(Read($$"""{"devices":{{devices}}}""", out var faults));
        Assert.Contains(pointer, faults.Select(fault => fault.Pointer));
    }

    [Theory]
    [InlineData("""{"text":"ab","number":7}""", "number")]
    [InlineData("""{"text":"ab","number":12}""", "number")]
    [InlineData("""{"text":"ab","number":"6"}""", "number")]
    [InlineData("""{"text":"ab","perhaps":256}""", "perhaps")]
    [InlineData("""{"text":"ab","size":"6K"}""", "size")]
    [InlineData("""{"text":"ab","size":"2M"}""", "size")]
    [InlineData("""{"text":"a"}""", "text")]
    [InlineData("""{"text":"abcde"}""", "text")]
    [InlineData("""{"text":"a\u0000"}""", "text")]
    [InlineData("""{"text":"no"}""", "text")]
    [InlineData("""{}""", "text")]
    [InlineData("""{"text":"ab","mode":"UserNetwork"}""", "mode")]
    [InlineData("""{"text":"ab","flag":1}""", "flag")]
    public void A_setting_keeps_its_limits(string settings, string setting)
    {
        Assert.Null(Read($$"""{"devices":[{"id":"a","kind":"example.every-setting","settings":{{settings}}}]}""", out var faults));
        Assert.Equal([$"/devices/0/settings/{setting}"], faults.Select(fault => fault.Pointer));
    }

    [Fact]
    public void Settings_are_read_as_given_and_written_complete()
    {
        Assert.Equal("""{"flag":true,"number":6,"size":"8K","text":"ab","mode":"plain"}""", Complete("""{"text":"ab"}"""));
        const string all = """{"flag":false,"number":-4,"perhaps":255,"size":"1M","text":"abcd","mode":"user-network"}""";
        Assert.Equal(all, Complete(all));

        static string Complete(string settings) =>
            Expand($$"""{"devices":[{"id":"a","kind":"example.every-setting","settings":{{settings}}}]}""")[0].Settings!.Value.GetRawText();
    }

    [Fact]
    public void A_machine_without_a_list_is_a_pc() =>
        Assert.Equal(Profile.Pc.Select(device => (device.Id, device.Kind)), Expand("{}").Select(device => (device.Id, device.Kind)));

    [Fact]
    public void Short_forms_add_a_device_to_whatever_list()
    {
        var pc = Expand("""{"hpet":true,"display":{"width":800,"height":600}}""");
        Assert.Equal([.. Profile.Pc.Select(device => device.Kind), "timer.hpet", "display.bochs"], pc.Select(device => device.Kind));
        Assert.Equal(
            ("display", "pci:01.0", """{"width":800,"height":600}"""), (pc[^1].Id, pc[^1].At, pc[^1].Settings!.Value.GetRawText()));
        Assert.Equal(
            ["root", "display"], Expand("""{"display":{},"devices":[{"id":"root","kind":"pci.host-bridge"}]}""")
                .Select(device => device.Id));
        Assert.Null(Read("""{"display":{},"devices":[{"id":"display","kind":"pci.host-bridge"}]}""", out var faults));
        Assert.Equal(["/display"], faults.Select(fault => fault.Pointer));
    }

    [Fact]
    public void Who_does_not_say_where_it_is_gets_the_first_place_that_nobody_names()
    {
        var devices = Expand("""
            {"devices":[{"id":"pci","kind":"pci.host-bridge"},{"id":"a","kind":"serial.16550"},{"id":"b","kind":"serial.16550","at":"port:3f8"},
             {"id":"root","kind":"example.root"},{"id":"sub","kind":"example.bus"},{"id":"leaf","kind":"example.bus","at":"root:b"}]}
            """).ToDictionary(device => device.Id, device => device.At);
        Assert.Equal(("port:2f8", "port:3f8"), (devices["a"], devices["b"]));
        Assert.Equal(("root:c", "root:b"), (devices["sub"], devices["leaf"]));
    }

    [Fact]
    public void A_device_is_behind_a_port_only_if_it_says_so()
    {
        var devices = Expand("""
            {"display":{},"devices":[{"id":"port","kind":"pcie.root-port","at":"pci:03.0"},{"id":"pci","kind":"pci.host-bridge"},{"id":"next","kind":"pcie.root-port"}]}
            """).ToDictionary(device => device.Id, device => device.At);
        Assert.Equal(("pci:03.0", "pci:01.0", "pci:02.0"), (devices["port"], devices["next"], devices["display"]));
        Assert.Equal("port:00.0", Expand("""
            {"devices":[{"id":"pci","kind":"pci.host-bridge"},{"id":"port","kind":"pcie.root-port"},{"id":"screen","kind":"display.bochs","at":"port:00.0"}]}
            """)[2].At);
    }

    [Fact]
    public void An_expanded_machine_is_complete()
    {
        var spec = Read("""{"hpet":true,"display":{}}""", out _)!.Expanded(s_catalogue);
        string once = MachineSpecJson.Write(spec).ToJsonString();
        var again = MachineSpecJson.Read(Encoding.UTF8.GetBytes(once), out var faults, s_catalogue);
        Assert.Empty(faults);
        Assert.Equal(once, MachineSpecJson.Write(again!.Expanded(s_catalogue)).ToJsonString());
        Assert.True(spec is { Display: null, Hpet: false });
    }

    [Fact]
    public async Task A_device_is_made_after_what_it_is_connected_to()
    {
        using var platform = new WholePlatform();
        var spec = new MachineSpec
        {
            Devices = [new(
                "leaf", "example.bus") { At = "sub:c" }, new("sub", "example.bus") { At = "root:b" }, new("root", "example.root")],
        };
        spec.Expanded(s_catalogue, out var plan);
        using var tree = plan.Make(platform.Parts);
        Assert.Equal(["root", "sub", "leaf"], tree.Nodes.Select(node => node.Name));
        Assert.Equal(["1:sub"], ((ExampleDevice)tree.Find("root")!.Device).Attached);
        Assert.Equal(["2:leaf"], ((ExampleDevice)tree.Find("sub")!.Device).Attached);
        await Assert.ThrowsAsync<InvalidOperationException>(() => tree.UnplugAsync(tree.Find("sub")!, TimeSpan.Zero));
    }

    /// <summary>What saved states of all builds go by.</summary>
    [Fact]
    public void The_devices_of_a_pc_keep_their_ids()
    {
        using var platform = new WholePlatform();
        Assert.Equal(
            [
                "acpi-pm: acpi-pm 1", "display: bochs-display 1", "fw-cfg: fw-cfg 1", "hpet: hpet 1", "i8042: i8042 1",
                "pci: pci-host-bridge 2",
                "port0: pcie-root-port 1", "port1: pcie-root-port 1", "port2: pcie-root-port 1", "port92: system-control-a 1",
                "reset-control: reset-control 1", "rtc: mc146818 1", "uart0: 16550 1",
            ],
            platform.Plan.Devices.Select(device => platform.Tree.Find(device.Id)!.Device).OfType<ISavedState>()
                .Select(device => $"{((IDevice)device).Name}: {device.Schema.Name} {device.Schema.Version}").Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_device_decodes_what_its_kind_claims_and_nothing_else()
    {
        using var platform = new WholePlatform();
        foreach (var planned in platform.Plan.Devices)
        {
            var device = platform.Tree.Find(planned.Id)!.Device;
            var claims = planned.Kind.Claims(planned.At, planned.Settings).ToList();
            var windows = ((device as IPortMapped)?.PortWindows ?? []).Select(window => Claim.Ports(window.First, window.Count))
                .Concat(((device as IMemoryMapped)?.MmioWindows ?? []).Select(window => Claim.Memory(window.Base.Value, window.Size)));
            Assert.All(
                windows, window => Assert.Contains(
                    claims, claim => claim.Space == window.Space && claim.First <= window.First
                        && window.First + window.Count <= claim.First + claim.Count));
        }
    }

    [Fact]
    public void Every_kind_of_this_build_makes_a_device_of_the_whole_platform()
    {
        using var platform = new WholePlatform();
        Assert.Equal(
            BuiltInDevices.Catalogue.Kinds.Select(kind => kind.Name),
            platform.Plan.Devices.Select(device => device.Kind.Name).Distinct().Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Every_device_of_this_build_is_of_a_kind()
    {
        using var platform = new WholePlatform();
        var made = platform.Tree.Nodes.Select(node => node.Device.GetType()).ToHashSet();
        Assert.All(
            typeof(IDevice).Assembly.GetTypes()
                .Where(type => type is { IsClass: true, IsAbstract: false } && type.IsAssignableTo(typeof(IDevice))),
            type => Assert.Contains(type, made));
    }

    [Fact]
    public void Two_kinds_of_one_name_are_refused() => Assert.Throws<ArgumentException>(() => s_catalogue.With(ExampleKinds.All));

    private static MachineSpec? Read(string json, out IReadOnlyList<SpecFault> faults) =>
        MachineSpecJson.Read(Encoding.UTF8.GetBytes(json), out faults, s_catalogue);

    private static IReadOnlyList<DeviceSpec> Expand(string json)
    {
        var spec = Read(json, out var faults);
        Assert.Empty(faults);
        return spec!.Expanded(s_catalogue).Devices!;
    }
}
