using WebVm.Vmm.Cpu.Features;
using WebVm.Vmm.Machine.Spec;
using Xunit;

namespace WebVm.Guest.Tests;

public sealed class FiveLevelPagingTests
{
    [Theory]
    [InlineData(true, "57")]
    [InlineData(false, "48")]
    public async Task Linux_uses_57_bit_addresses_when_they_are_offered(bool offered, string bits)
    {
        // The choice is that of the decompressor, which an uncompressed kernel lacks.
        await using var guest = await GuestSession.Start(new MachineSpec
        {
            Engine = EngineChoice.Soft,
            Cpus = 2,
            Cpu = new CpuSpec { Features = new Dictionary<string, bool> { ["la57"] = offered } },
            Memory = 256UL << 20,
            Boot = Images.Linux("tiny", "console=ttyS0 quiet", "vmlinuz"),
        });
        guest.WaitForShell();
        Assert.Equal(offered ? "2" : "0", guest.Run("grep -cw la57 /proc/cpuinfo"));
        Assert.Equal(bits, guest.Run("awk '/^address sizes/{print $7; exit}' /proc/cpuinfo"));
    }
}
