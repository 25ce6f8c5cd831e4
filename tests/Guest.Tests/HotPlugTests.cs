using System.Text.Json;
using WebVm.Guest.Tests.OwnDevice;
using WebVm.Vmm.Control;
using WebVm.Vmm.Devices.BuiltIn;
using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Machine.Profiles;
using WebVm.Vmm.Machine.Saving;
using WebVm.Vmm.Machine.Spec;
using Xunit;

namespace WebVm.Guest.Tests;

/// <summary>Devices that come and go while a guest runs, over the control socket.</summary>
public sealed class HotPlugTests : IDisposable
{
    private const string Pad = """{"id":"pad","kind":"example.scratchpad"}""";
    private const string There = "0000:00:00.0 0000:00:02.0 0000:00:03.0 0000:01:00.0";
    private const string Gone = "0000:00:00.0 0000:00:02.0 0000:00:03.0";

    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(5);
    private static readonly DeviceCatalogue s_catalogue = BuiltInDevices.Catalogue.With(OwnDevices.Kinds);

    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-plug").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    /// <summary>On KVM by hand, where its guests have system calls (`KvmLongModeTests` tells): the user land is asked.</summary>
    [Theory]
    [InlineData("soft")]
    [InlineData("kvm", Explicit = true)]
    public async Task Linux_finds_a_device_that_comes_and_lets_it_go_also_after_a_restore(string engine)
    {
        var spec = Spec(Enum.Parse<EngineChoice>(engine, ignoreCase: true), Images.Linux("tiny", "console=ttyS0 quiet", "vmlinuz"));
        string saved = Path.Combine(_folder, "state");
        await using (var guest = await GuestSession.Start(spec, catalogue: s_catalogue))
        {
            guest.WaitForShell();
            using var server = new ControlServer(guest.Machine, SocketPath);
            using var client = (await ControlClient.ConnectAsync(SocketPath, Cancellation)).Start();
            Assert.Equal(Gone, Devices(guest));
            var first = await PlugAsync(guest, client);
            Assert.Equal(UnplugOutcome.Gone, await client.RemoveDeviceAsync("pad").WaitAsync(s_limit, Cancellation));
            Assert.Equal(Gone, Devices(guest));
            Assert.True(first.Memory.IsReleased);
            Assert.Contains(guest.Events, happened => happened is { Kind: MachineEventKind.DeviceGone, Text: "device 'pad' is gone" });
            Assert.DoesNotContain("pad", (await client.DevicesAsync()).Items.Select(device => device.Id));

            Assert.NotSame(first, await PlugAsync(guest, client));
            var pad = (await client.DevicesAsync()).Items.Single(device => device.Id == "pad");
            Assert.Equal(("example.scratchpad", "empty:00.0", null), (pad.Kind, pad.At, pad.Failure));
            Assert.Contains("pad", (await client.SpecAsync())["devices"]!.AsArray().Select(device => (string)device!["id"]!));
            await StateSaver.Save(guest.Machine, saved);
        }

        await using var restored = await GuestSession.Restore(saved, spec.Engine, catalogue: s_catalogue);
        Assert.Equal(There, Devices(restored));
        var again = restored.Machine.Platform.Devices.All<Scratchpad>().Single();
        Assert.True(restored.Machine.Platform.Memory.TryRead(again.Memory.Base!.Value, out int written));
        Assert.Equal(0x1357_9bdf, written);
        Assert.Equal(UnplugOutcome.Gone, await restored.Machine.RemoveDevice("pad", s_limit).WaitAsync(s_limit, Cancellation));
        Assert.Equal(Gone, Devices(restored));
    }

    [Fact]
    public async Task A_guest_that_never_answers_keeps_its_device_and_the_machine_goes_on()
    {
        var spec = Spec(EngineChoice.Soft, new BootSpec { Kernel = MultibootSample.Assemble(MultibootSample.Spin, _folder) });
        await using var guest = await GuestSession.Start(spec, catalogue: s_catalogue);
        using var server = new ControlServer(guest.Machine, SocketPath);
        using var client = (await ControlClient.ConnectAsync(SocketPath, Cancellation)).Start();
        await AddAsync(client, Pad).WaitAsync(s_limit, Cancellation);
        // What is plugged in without a guest that switches it on goes at once, so it is switched on by a reset.
        await client.ResetAsync().WaitAsync(s_limit, Cancellation);
        var outcome = await client.RemoveDeviceAsync("pad", TimeSpan.FromMilliseconds(50)).WaitAsync(s_limit, Cancellation);
        Assert.Equal(UnplugOutcome.Unanswered, outcome);
        Assert.Equal(MachineState.Running, guest.Machine.State);
        var pad = (await client.DevicesAsync()).Items.Single(device => device.Id == "pad");
        Assert.Null(pad.Failure);

        // An end does not wait for it either.
        var waiting = guest.Machine.RemoveDevice("pad", s_limit);
        await guest.Machine.Stop().WaitAsync(s_limit, Cancellation);
        await Assert.ThrowsAsync<MachineStateException>(() => waiting.WaitAsync(s_limit, Cancellation));
    }

    [Fact]
    public async Task What_cannot_come_or_go_is_refused_with_a_sentence()
    {
        var spec = Spec(EngineChoice.Soft, new BootSpec { Kernel = MultibootSample.Assemble(MultibootSample.Spin, _folder) });
        await using var guest = await GuestSession.Start(spec, catalogue: s_catalogue);
        using var server = new ControlServer(guest.Machine, SocketPath);
        using var client = (await ControlClient.ConnectAsync(SocketPath, Cancellation)).Start();
        await Refused(
            "bad-request", "/device/id: there is a device 'uart0' already",
            AddAsync(client, """{"id":"uart0","kind":"example.scratchpad"}"""));
        await Refused("bad-request", "/device/kind: is required", AddAsync(client, """{"id":"a"}"""));
        await Refused("bad-request", "/device: an object is expected", AddAsync(client, "7"));
        await Refused(
            "bad-request", "/device/kind: a serial.16550 is in no slot", AddAsync(client, """{"id":"a","kind":"serial.16550"}"""));
        await Refused(
            "bad-request", "/device/at: 'pci' takes no device",
            AddAsync(client, """{"id":"a","kind":"example.scratchpad","at":"pci:09.0"}"""));
        await Refused("bad-request", "/device/kind: a display.bochs is", AddAsync(client, """{"id":"a","kind":"display.bochs"}"""));
        await Refused("not-present", "the machine has no device 'a'", client.RemoveDeviceAsync("a"));
        await Refused("bad-request", "device 'rtc' is in no slot", client.RemoveDeviceAsync("rtc"));
        await Refused("bad-request", "deadline is 0 to 60000 milliseconds", client.RemoveDeviceAsync("rtc", TimeSpan.FromSeconds(61)));
        await AddAsync(client, Pad).WaitAsync(s_limit, Cancellation);
        await AddAsync(client, """{"id":"b","kind":"example.scratchpad"}""").WaitAsync(s_limit, Cancellation);
        await Refused("bad-request", "/device: no slot is free", AddAsync(client, """{"id":"a","kind":"example.scratchpad"}"""));
        await client.PauseAsync();
        await Refused("invalid-state", "the machine is paused", client.RemoveDeviceAsync("pad"));
    }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private static Task<MachineDevice> AddAsync(ControlClient client, string device) => client.AddDeviceAsync(JsonElement.Parse(device));

    private static async Task Refused(string code, string message, Task request)
    {
        var refused = await Assert.ThrowsAsync<ControlException>(() => request.WaitAsync(s_limit, Cancellation));
        Assert.StartsWith(message, refused.Message, StringComparison.Ordinal);
        Assert.Equal(code, refused.Code);
    }

    /// <summary>Plugs it in, and waits until Linux has it and its memory is seen.</summary>
    private static async Task<Scratchpad> PlugAsync(GuestSession guest, ControlClient client)
    {
        await AddAsync(client, Pad).WaitAsync(s_limit, Cancellation);
        guest.Run("until [ -e /sys/bus/pci/devices/0000:01:00.0/vendor ]; do sleep 0.1; done");
        Assert.Equal(There, Devices(guest));
        string identity = guest.Run("cd /sys/bus/pci/devices/0000:01:00.0; echo $(cat vendor device); echo 1 > enable; cd /").Trim();
        Assert.Equal("0x1234 0x5c4a", identity);
        var pad = guest.Machine.Platform.Devices.All<Scratchpad>().Single();
        var memory = guest.Machine.Platform.Memory;
        Assert.True(memory.TryRead(pad.Memory.Base!.Value, out int fresh));
        Assert.Equal(0, fresh);
        Assert.True(memory.TryWrite(pad.Memory.Base!.Value, 0x1357_9bdf));
        return pad;
    }

    private static string Devices(GuestSession guest) => guest.Run("echo $(ls /sys/bus/pci/devices)").Trim();

    private string SocketPath => Path.Combine(_folder, "control");

    private static MachineSpec Spec(EngineChoice engine, BootSpec boot) => new()
    {
        Engine = engine,
        Memory = 256UL << 20,
        Boot = boot,
        Devices =
        [
            .. Profile.Pc,
            new("empty", "pcie.root-port") { At = "pci:02.0" },
            new("port", "pcie.root-port") { At = "pci:03.0" },
        ],
    };
}
