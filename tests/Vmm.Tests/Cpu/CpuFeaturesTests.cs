using WebVm.Vmm.Cpu;
using WebVm.Vmm.Cpu.Kvm;
using WebVm.Vmm.Cpu.Soft;
using WebVm.Vmm.Cpu.Soft.Interpretation.SystemInstructions;
using WebVm.Vmm.Machine.Assembly;
using WebVm.Vmm.Machine.Spec;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Tests.Cpu.Soft;
using WebVm.Vmm.Time;
using Xunit;

namespace WebVm.Vmm.Tests.Cpu;

/// <summary>What a guest is offered on request only: there when asked for, and not otherwise.</summary>
public sealed unsafe class CpuFeaturesTests
{
    private const uint La57 = 1 << 16;

    [Theory]
    [InlineData(CpuFeatures.None)]
    [InlineData(CpuFeatures.La57)]
    public void SoftTellsOfFiveLevelPagingAndAllowsItOnlyWhenAskedTo(CpuFeatures features)
    {
        using var processor = new LongModeProcessor();
        using var timers = new TimerService(new VirtualClock());
        using var engine = new SoftEngine(processor.Memory, processor, timers, features);
        var cpu = ((SoftVcpu)engine.CreateVcpu(0, CpuPlace.Alone)).Context;
        bool offered = features == CpuFeatures.La57;
        Assert.Equal(offered, (CpuidPolicy.Read(cpu, 7, 0).Ecx & La57) != 0);
        Assert.Equal(offered ? 57u : 48u, CpuidPolicy.Read(cpu, 0x8000_0008, 0).Eax >> 8 & 0xff);
        Assert.Equal(offered, ControlRegisters.TrySetCr4(cpu, Cr4.Pae | Cr4.La57));
        Assert.Equal(offered ? Cr4.Pae | Cr4.La57 : 0, cpu->State.Cr4);
    }

    [Theory]
    [InlineData(CpuFeatures.None)]
    [InlineData(CpuFeatures.La57)]
    public void KvmTellsOfFiveLevelPagingOnlyWhenAskedToAndTheHostHasIt(CpuFeatures features)
    {
        using var device = KvmDevice.TryOpen(out _);
        if (device is null)
        {
            Assert.Skip("This host has no usable KVM.");
        }

        bool expected = (features & KvmCpuid.FeaturesOf(device)) != 0;
        var leaves = KvmCpuid.ForHost(device, features).For(CpuPlace.Alone);
        Assert.Equal(expected, leaves.Any(leaf => leaf is { function: 7, index: 0 } && (leaf.ecx & La57) != 0));
        Assert.Equal(expected, leaves.Any(leaf => leaf.function == 0x8000_0008 && (leaf.eax >> 8 & 0xff) > 48));
    }

    [Fact]
    public void AKvmWithoutWhatTheSpecAsksForIsRefusedAndAutoTakesSoft()
    {
        if ((HostKvm.Features & CpuFeatures.La57) != 0)
        {
            Assert.Skip("This host's KVM has 5-level paging.");
        }

        var spec = new MachineSpec { CpuFeatures = CpuFeatures.La57, Memory = MachineSpec.MinimumMemory };
        var refused = Assert.Throws<EngineUnavailableException>(() => MachineAssembly.Assemble(spec with { Engine = EngineChoice.Kvm }));
        Assert.Contains("la57", refused.Message, StringComparison.Ordinal);
        using var machine = MachineAssembly.Assemble(spec with { Engine = EngineChoice.Auto });
        Assert.Equal("soft", machine.EngineName);
    }
}
