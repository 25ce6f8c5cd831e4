using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Machine.Spec;
using Xunit;

namespace WebVm.Guest.Tests;

public sealed class EnlightenmentTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-enlightened-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(EngineChoice.Soft)]
    [InlineData(EngineChoice.Kvm)]
    public async Task What_a_spinning_guest_took_is_seen_and_it_spins_on(EngineChoice engine)
    {
        if (engine == EngineChoice.Kvm && !File.Exists("/dev/kvm"))
        {
            Assert.Skip("This host has no /dev/kvm.");
        }

        await using var guest = await GuestSession.Start(new MachineSpec
        {
            Engine = engine,
            Cpus = 2,
            Memory = 16UL << 20,
            Boot = new BootSpec { Kernel = MultibootSample.Assemble(MultibootSample.TakesClock, _folder) },
        });
        guest.WaitFor("taken");
        for (int round = 0; round < 20; round++)
        {
            var items = (await guest.Machine.Enlightenments()).ToDictionary(item => item.Name);
            Assert.True(items["kvm-clock"].Offered);
            Assert.Equal([0], items["kvm-clock"].Vcpus);
            Assert.Equal([], items["steal-time"].Vcpus);
        }

        Assert.Equal(MachineState.Running, guest.Machine.State);
        await guest.Machine.Stop();
        await Assert.ThrowsAsync<MachineStateException>(guest.Machine.Enlightenments);
    }
}
