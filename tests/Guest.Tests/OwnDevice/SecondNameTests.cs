using WebVm.Vmm.Devices.BuiltIn;
using WebVm.Vmm.Devices.Catalogue;
using WebVm.Vmm.Machine.Profiles;
using WebVm.Vmm.Machine.Saving;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Memory;
using Xunit;

namespace WebVm.Guest.Tests.OwnDevice;

public sealed class SecondNameTests
{
    private static readonly DeviceCatalogue s_catalogue = BuiltInDevices.Catalogue.With(OwnDevices.Kinds);

    [Theory]
    [InlineData("soft")]
    [InlineData("kvm", Explicit = true)]
    public async Task A_machine_whose_memory_has_a_second_name_is_saved_and_goes_on(string engine)
    {
        var spec = new MachineSpec
        {
            Engine = Enum.Parse<EngineChoice>(engine, ignoreCase: true),
            Memory = 512 << 20,
            // The cloud kernel has no /dev/port.
            Boot = Images.Linux("generic", "console=ttyS0 quiet"),
            Devices = [.. Profile.Pc, new DeviceSpec("name", "example.second-name") { At = "port:338" }],
        };
        string state = Path.Combine(Directory.CreateTempSubdirectory("webvm-name-").FullName, "state");
        var page = new GuestPhysicalAddress(0x1234_5000);
        try
        {
            await using (var session = await GuestSession.Start(spec, catalogue: s_catalogue))
            {
                session.WaitForShell();
                // Page 0x12345, while the guest runs.
                session.Run(@"for once in 1 2 3; do printf '\x45\x23\x01\x00' | dd of=/dev/port bs=4 seek=$((0x338 / 4)) count=1; done");
                await session.Machine.Pause();
                var memory = session.Machine.Platform.Memory;
                Assert.True(memory.TryRead(page, out ulong there));
                Assert.True(memory.TryRead(SecondName.At, out ulong here));
                Assert.Equal(there, here);
                Assert.Equal(2, memory.Mappings.Count(mapping => mapping.Region.Kind == GuestMemoryKind.Ram));
                await StateSaver.Save(session.Machine, state);
            }

            await using var restored = await GuestSession.Restore(state, spec.Engine, catalogue: s_catalogue);
            Assert.Equal("on", restored.Run("echo o''n").Trim());
            await restored.Machine.Pause();
            var again = restored.Machine.Platform.Memory;
            Assert.True(again.TryWrite(SecondName.At, 0x1122_3344_5566_7788));
            Assert.True(again.TryRead(page, out ulong value));
            Assert.Equal(0x1122_3344_5566_7788UL, value);
        }
        finally
        {
            Directory.Delete(Path.GetDirectoryName(state)!, recursive: true);
        }
    }
}
