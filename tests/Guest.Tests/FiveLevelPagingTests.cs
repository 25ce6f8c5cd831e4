using WebVm.Vmm.Cpu;
using WebVm.Vmm.Machine.Spec;
using Xunit;

namespace WebVm.Guest.Tests;

public sealed class FiveLevelPagingTests
{
    [Theory]
    [InlineData(CpuFeatures.La57, "57")]
    [InlineData(CpuFeatures.None, "48")]
    public async Task Linux_uses_57_bit_addresses_when_they_are_offered(CpuFeatures features, string bits)
    {
        // The choice is that of the decompressor, which an uncompressed kernel lacks.
        await using var guest = await GuestSession.Start(new MachineSpec
        {
            Engine = EngineChoice.Soft,
            Cpus = 2,
            CpuFeatures = features,
            Memory = 256UL << 20,
            Boot = Images.Linux("tiny", "console=ttyS0 quiet", "vmlinuz"),
        });
        guest.WaitForShell();
        Assert.Equal(features == CpuFeatures.La57 ? "2" : "0", guest.Run("grep -cw la57 /proc/cpuinfo"));
        Assert.Equal(bits, guest.Run("awk '/^address sizes/{print $7; exit}' /proc/cpuinfo"));
    }
}
