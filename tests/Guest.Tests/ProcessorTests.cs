using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Machine.Spec;
using Xunit;

namespace WebVm.Guest.Tests;

public sealed class ProcessorTests
{
    [Theory]
    [InlineData(CpuVendor.Intel, "GenuineIntel")]
    [InlineData(CpuVendor.Amd, "AuthenticAMD")]
    public async Task Linux_boots_on_a_model_of_either_vendor_and_sees_what_was_chosen(CpuVendor vendor, string identification)
    {
        await using var guest = await GuestSession.Start(new MachineSpec
        {
            Engine = EngineChoice.Soft,
            Cpu = new CpuSpec { Model = CpuModel.X86_64V2, Vendor = vendor,
                Features = new Dictionary<string, bool> { ["fsgsbase"] = true, ["sse4_2"] = false } },
            Memory = 256UL << 20,
            Boot = Images.Linux("tiny", "console=ttyS0 quiet"),
        });
        guest.WaitForShell();
        Assert.Equal(identification, guest.Run("awk '/^vendor_id/{print $3; exit}' /proc/cpuinfo"));
        Assert.Equal("x86-64-v2 of WebVm", guest.Run("sed -n 's/^model name.*: //p' /proc/cpuinfo"));
        Assert.Equal("1 1 0 0", guest.Run("echo $(for flag in fsgsbase sse4_1 sse4_2 avx; do grep -cw $flag /proc/cpuinfo; done)"));
        Assert.Equal("", guest.Run("dmesg | grep -iE 'unchecked MSR|call trace|firmware bug'"));
    }

    [Fact]
    public async Task Linux_uses_protection_keys_where_they_are_offered()
    {
        await using var guest = await GuestSession.Start(new MachineSpec
        {
            Engine = EngineChoice.Soft,
            Cpu = new CpuSpec { Features = new Dictionary<string, bool> { ["pku"] = true, ["pks"] = true } },
            Memory = 256UL << 20,
            Boot = Images.Linux("tiny", "console=ttyS0 quiet"),
        });
        guest.WaitForShell();
        Assert.Equal("1 1", guest.Run("echo $(for flag in pku ospke; do grep -cw $flag /proc/cpuinfo; done)"));
        Assert.Equal("", guest.Run("dmesg | grep -iE 'xstate.*(wrong|mismatch|warn)|call trace|unchecked MSR'"));
    }
}
