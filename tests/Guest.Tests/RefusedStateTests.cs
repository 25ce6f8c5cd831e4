using System.Text.Json.Nodes;
using WebVm.Vmm.Machine.Saving;
using WebVm.Vmm.Machine.Spec;
using Xunit;

namespace WebVm.Guest.Tests;

/// <summary>A state that cannot go on here is refused before anything is made, and whoever asked hears of every reason at once.</summary>
public sealed class RefusedStateTests : IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-refused").FullName;

    private string Saved => Path.Combine(_folder, "state");

    public async ValueTask InitializeAsync()
    {
        await using var guest = await GuestSession.Start(new MachineSpec
        {
            Engine = EngineChoice.Soft,
            Cpus = 2,
            Memory = 16UL << 20,
            Boot = new BootSpec { Kernel = MultibootSample.Assemble(MultibootSample.Spin, _folder) },
        });
        await StateSaver.Save(guest.Machine, Saved);
    }

    public ValueTask DisposeAsync()
    {
        Directory.Delete(_folder, recursive: true);
        return ValueTask.CompletedTask;
    }

    [Fact]
    public Task What_the_host_and_this_build_lack_is_named_together() => IsRefused(
        sections =>
        {
            sections.Body("devices")["devices"]!.AsArray()
                .Add(new JsonObject { ["id"] = "fax", ["kind"] = "office.fax", ["at"] = "port:700", ["settings"] = new JsonObject() });
            sections.Body("cpu")["features"]!.AsArray().Add("avx512f");
            sections.Body("memory")["regions"]!.AsArray().Add(new JsonObject { ["name"] = "attic", ["size"] = 4096 });
        },
        "'office.fax'", "avx512f", "attic.memory");

    [Fact]
    public Task Damage_of_every_section_is_named_together() => IsRefused(
        sections =>
        {
            sections.Section("clock")["version"] = 2;
            sections.Section("memory")["schema"] = "storage";
            sections.Body("vcpu/0").Remove("rip");
            sections.Section("interrupts/pit")["body"] = 1;
            sections.Remove(sections.Section("interrupts/apic/1"));
            sections.Add(new JsonObject { ["unit"] = "vcpu/2", ["schema"] = "vcpu", ["version"] = 9, ["body"] = new JsonObject() });
        },
        "'clock' follows version 2 of schema 'clock'; this build reads version 1", "'memory' follows schema 'storage'",
        "vCPU 0: 'rip' of a vCPU is missing", "'interrupts/pit' is not a JSON object",
        "no saved state of 'interrupts/apic/1'", "'vcpu/2' is out of order",
        "no 'vcpu/2' of such a machine, whose saved state follows version 9 of schema 'vcpu'");

    [Fact]
    public Task States_of_devices_are_named_together() => IsRefused(
        sections =>
        {
            sections.Section("device/uart0")["version"] = 7;
            sections.Section("device/rtc")["unit"] = "device/watch";
            sections.Body("device/i8042")["surplus"] = 1;
            var regions = sections.Body("memory")["regions"]!.AsArray();
            regions[0]!["name"] = "rom0";
            File.Move(Path.Combine(Saved, "ram0.memory"), Path.Combine(Saved, "rom0.memory"));
        },
        "'device/uart0' follows version 7 of schema '16550'; this build reads version 1", "no device for 'device/watch'",
        "no saved state of 'device/rtc'", "'device/i8042' is not 'i8042' version 1",
        "no memory 'rom0'", "no contents for memory 'ram0'");

    [Fact]
    public void Memory_that_this_host_has_not_is_named()
    {
        var faults = new List<string>();
        HostNeeds.CheckMemory(3L << 30, 4L << 30, faults);
        HostNeeds.CheckMemory(5L << 30, 4L << 30, faults);
        Assert.Empty(faults);
        HostNeeds.CheckMemory(6L << 30, 4L << 30, faults);
        Assert.Equal("The guest's memory holds 6G; this host has 4G.", Assert.Single(faults));
    }

    private async Task IsRefused(Action<JsonArray> change, params string[] reasons)
    {
        SavedJson.Change(Saved, change);
        string message = (await Assert.ThrowsAsync<InvalidDataException>(() => StateRestorer.Restore(Saved, EngineChoice.Soft))).Message;
        Assert.All(reasons, reason => Assert.Contains(reason, message, StringComparison.Ordinal));
        Assert.All(message.Split(Environment.NewLine), line => Assert.Contains(Saved, line, StringComparison.Ordinal));
    }
}
