using System.Buffers.Binary;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Machine.Lifecycle;
using WebVm.Vmm.Machine.Spec;
using Xunit;

namespace WebVm.Guest.Tests;

/// <summary>Local APICs as a PC's firmware leaves them, on both engines.</summary>
public sealed class VirtualWireTests : IDisposable
{
    private const int LvtLint0 = 0x350;
    private const int LvtLint1 = 0x360;
    private const int SpuriousVector = 0xf0;
    private const uint Masked = 1 << 16;

    private readonly string _folder = Directory.CreateTempSubdirectory("webvm-wire-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(EngineChoice.Soft)]
    [InlineData(EngineChoice.Kvm)]
    public async Task A_kernel_gets_the_timers_interrupt_through_the_8259A_without_touching_its_local_apic(EngineChoice engine)
    {
        await using var guest = await Start(engine, MultibootSample.VirtualWire);
        var exit = await guest.WaitForExit();
        Assert.Equal((ExitKind.DebugExit, 1), (exit.Kind, exit.Code));
    }

    [Theory]
    [InlineData(EngineChoice.Soft)]
    [InlineData(EngineChoice.Kvm)]
    public async Task Other_processors_have_their_local_interrupts_masked_after_power_on_and_reset(EngineChoice engine)
    {
        await using var guest = await Start(engine, MultibootSample.Spin);
        for (int round = 0; round < 2; round++)
        {
            await guest.Machine.Pause();
            var apics = guest.Machine.Platform.Engine.SaveInterruptControllers().LocalApics;
            Assert.Equal(
                (0x1ffu, 0x700u, 0x400u), (Register(apics[0], SpuriousVector), Register(apics[0], LvtLint0), Register(apics[0], LvtLint1)));
            Assert.Equal(
                (0xffu, Masked, Masked), (Register(apics[1], SpuriousVector), Register(apics[1], LvtLint0), Register(apics[1], LvtLint1)));
            await guest.Machine.Reset();
            await guest.Machine.Resume();
        }
    }

    [Theory]
    [InlineData(EngineChoice.Soft)]
    [InlineData(EngineChoice.Kvm)]
    public async Task Apic_ids_tell_packages_apart(EngineChoice engine)
    {
        await using var guest = await Start(engine, MultibootSample.Spin,
            new NumaNodeSpec { Cpus = new(0b1000), Memory = 8UL << 20 },
            new NumaNodeSpec { Cpus = new(0b0111), Memory = 8UL << 20 });
        await guest.Machine.Pause();
        var apics = guest.Machine.Platform.Engine.SaveInterruptControllers().LocalApics;
        Assert.Equal([0u, 1u, 2u, 4u], apics.Select(apic => apic.Id >> 24));
    }

    private Task<GuestSession> Start(EngineChoice engine, string kernel, params NumaNodeSpec[] nodes)
    {
        if (engine == EngineChoice.Kvm && !File.Exists("/dev/kvm"))
        {
            Assert.Skip("This host has no /dev/kvm.");
        }

        return GuestSession.Start(new MachineSpec
        {
            Engine = engine,
            Cpus = nodes.Length == 0 ? 2 : nodes.Sum(node => node.Cpus.Count),
            Numa = nodes,
            Memory = 16UL << 20,
            Boot = new BootSpec { Kernel = MultibootSample.Assemble(kernel, _folder) },
        });
    }

    private static uint Register(LocalApicState apic, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(apic.Registers.AsSpan(offset));
}
