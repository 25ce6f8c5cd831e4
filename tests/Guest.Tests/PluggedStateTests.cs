using System.IO.Pipes;
using System.Text.Json.Nodes;
using WebVm.Guest.Tests.OwnDevice;
using WebVm.Vmm.Devices.BuiltIn;
using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Devices.Serial.Uart;
using WebVm.Vmm.Machine.Assembly;
using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Machine.Saving;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.State;
using Xunit;

namespace WebVm.Guest.Tests;

/// <summary>A state has the devices that the machine had when it was saved, whatever its spec says.</summary>
public sealed class PluggedStateTests : IDisposable
{
    private static readonly DeviceCatalogue s_catalogue = BuiltInDevices.Catalogue.With(OwnDevices.Kinds);

    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-plugged").FullName;

    private string Saved => Path.Combine(_folder, "state");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_device_that_was_plugged_while_the_machine_ran_is_there_after_restore()
    {
        await using (var guest = await GuestSession.Start(Spinning(), catalogue: s_catalogue))
        {
            await guest.Machine.Pause();
            Plug(guest.Machine);
            await StateSaver.Save(guest.Machine, Saved);
        }

        Assert.False(SavedJson.Sections(Saved).Body("machine")["spec"]!.AsObject().ContainsKey("devices"));
        using var machine = await StateRestorer.Restore(Saved, EngineChoice.Soft, catalogue: s_catalogue);
        Assert.Equal(9, machine.Platform.Devices.All<Tally>().Single().Save().Count);
        Assert.Equal(
            ("tally", "example.tally", "port:334"), machine.Spec.Devices!.Where(device => device.Id == "tally")
                .Select(device => (device.Id, device.Kind, device.At)).Single());

        // The device's own upgrade: version 1 had another name for it.
        SavedJson.Change(Saved, sections =>
        {
            sections.Section("device/tally")["version"] = 1;
            sections.Section("device/tally")["body"] = new JsonObject { ["value"] = 11 };
        });
        using var earlier = await StateRestorer.Restore(Saved, EngineChoice.Soft, catalogue: s_catalogue);
        Assert.Equal(11, earlier.Platform.Devices.All<Tally>().Single().Save().Count);
        Assert.Contains(
            "'example.tally'", (await Assert.ThrowsAsync<InvalidDataException>(
                () => StateRestorer.Restore(Saved, EngineChoice.Soft))).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_entry_that_the_spec_lacks_is_a_device_and_one_that_the_state_lacks_is_none()
    {
        await using (var guest = await GuestSession.Start(Spinning() with { Hpet = true }))
        {
            await StateSaver.Save(guest.Machine, Saved);
        }

        SavedJson.Change(Saved, sections =>
        {
            var devices = sections.Body("devices")["devices"]!.AsArray();
            devices.Add(
                new JsonObject { ["id"] = "uart1", ["kind"] = "serial.16550", ["at"] = "port:2f8",
                    ["settings"] = new JsonObject { ["console"] = false } });
            var uart = sections.Section("device/uart0").DeepClone();
            uart["unit"] = "device/uart1";
            sections.Add(uart);
            devices.Remove(devices.Single(device => (string)device!["id"]! == "hpet"));
            sections.Remove(sections.Section("device/hpet"));
            sections.Body("machine")["spec"]!["hpet"] = true;
        });
        using var machine = await StateRestorer.Restore(Saved, EngineChoice.Soft);
        Assert.Equal(["uart0", "uart1"], machine.Platform.Devices.All<Uart16550>().Select(device => device.Name).Order());
        Assert.Null(machine.Platform.Devices.Find("hpet"));
        await machine.Resume();
        Assert.Equal(MachineState.Running, machine.State);
    }

    [Fact]
    public async Task A_running_machine_goes_through_a_pipe_into_another()
    {
        await using var guest = await GuestSession.Start(Spinning() with { Display = new DisplaySpec(640, 480) });
        await using var pipe = new AnonymousPipeServerStream(PipeDirection.Out);
        await using var far = new AnonymousPipeClientStream(PipeDirection.In, pipe.ClientSafePipeHandle);
        var restoring = Task.Run(
            () => StateRestorer.Restore(new StreamSource(far), EngineChoice.Soft), TestContext.Current.CancellationToken);
        long written = await StateSaver.Save(guest.Machine, new StreamSink(pipe));
        Assert.InRange(written, 1, 1 << 20);
        using var machine = await restoring;
        await machine.Resume();
        Assert.Equal(MachineState.Running, machine.State);
        Assert.Equal(MachineState.Running, guest.Machine.State);
        Assert.Equal(guest.Machine.Spec.Devices!.Select(device => device.Id), machine.Spec.Devices!.Select(device => device.Id));
    }

    /// <summary>As a hot-plug would.</summary>
    private static void Plug(VirtualMachine machine)
    {
        var tally = new Tally(0x334, 9) { Name = "tally" };
        var node = machine.Platform.Devices.Add(tally);
        machine.Platform.Devices.PowerUp();
        Assert.Same(tally, node.Device);
        machine.Platform.DeviceList = [.. machine.Platform.DeviceList,
            new DeviceSpec("tally", "example.tally") { At = "port:334" }.WithSettings("""{"first":9}""")];
    }

    private MachineSpec Spinning() => new()
    {
        Engine = EngineChoice.Soft,
        Memory = 16UL << 20,
        Boot = new BootSpec { Kernel = MultibootSample.Assemble(MultibootSample.Spin, _folder) },
    };
}
