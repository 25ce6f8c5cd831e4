using System.Globalization;
using WebVm.Vmm.Devices.BuiltIn;
using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Machine.Profiles;
using WebVm.Vmm.Machine.Saving;
using WebVm.Vmm.Machine.Spec;
using Xunit;

namespace WebVm.Guest.Tests.OwnDevice;

/// <summary>Adding a device touches no list elsewhere: this folder is all that the monitor is told of this one.</summary>
public sealed class TallyTests
{
    private static readonly DeviceCatalogue s_catalogue = BuiltInDevices.Catalogue.With(OwnDevices.Kinds);

    [Theory]
    [InlineData("soft")]
    [InlineData("kvm", Explicit = true)]
    public async Task Linux_boots_with_a_device_of_a_kind_that_is_only_added(string engine)
    {
        var spec = new MachineSpec
        {
            Engine = Enum.Parse<EngineChoice>(engine, ignoreCase: true),
            Memory = 512 << 20,
            // The cloud kernel has no /dev/port.
            Boot = Images.Linux("generic", "console=ttyS0 quiet"),
            Devices = [.. Profile.Pc, new DeviceSpec("tally", "example.tally") { At = "port:334" }.WithSettings("""{"first":40}""")],
        };
        Assert.Equal(["/devices/13/kind"], spec.Validate().Select(fault => fault.Pointer));
        string state = Path.Combine(Directory.CreateTempSubdirectory("webvm-tally-").FullName, "state");
        try
        {
            await using (var session = await GuestSession.Start(spec, catalogue: s_catalogue))
            {
                session.WaitForShell();
                Assert.Contains("WBVM0001", session.Run("ls /sys/bus/acpi/devices"), StringComparison.Ordinal);
                Assert.Equal(40, Count(session));
                session.Run("for once in a b; do printf $once | dd of=/dev/port bs=1 seek=$((0x334)) count=1; done");
                Assert.Equal(42, Count(session));
                await session.Machine.Pause();
                Assert.Equal(2, session.Machine.Platform.Devices.All<Tally>().Single().Metrics.Single().Value);
                await StateSaver.Save(session.Machine, state);
            }

            await using var restored = await GuestSession.Restore(state, spec.Engine, catalogue: s_catalogue);
            Assert.Equal(42, Count(restored));
        }
        finally
        {
            Directory.Delete(Path.GetDirectoryName(state)!, recursive: true);
        }
    }

    private static int Count(GuestSession session) =>
        int.Parse(
            session.Run("dd if=/dev/port bs=1 skip=$((0x334)) count=1 2>/dev/null | hexdump -e '1/1 \"%d\"'"),
            CultureInfo.InvariantCulture);
}
