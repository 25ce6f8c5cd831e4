using WebVm.Vmm.Firmware.Boot;
using WebVm.Vmm.Host;
using Xunit;

namespace WebVm.Vmm.Tests.Host;

/// <summary>Memory that goes back to the host.</summary>
public sealed unsafe class HostBufferTests
{
    [Fact]
    public void What_is_discarded_reads_as_zero_and_can_be_written_again()
    {
        using var memory = AddressReservation.Zeroed(3 * 4096);
        memory.Base[5000] = 7;
        memory.Discard();
        Assert.Equal(0, memory.Base[5000]);
        memory.Base[5000] = 8;
        Assert.Equal(8, memory.Base[5000]);
    }

    [Fact]
    public void A_boot_files_bytes_are_the_files_until_it_is_disposed_and_nobodys_then()
    {
        string path = Path.GetTempFileName();
        try
        {
            byte[] contents = new byte[100_000];
            new Random(3).NextBytes(contents);
            File.WriteAllBytes(path, contents);
            var file = BootFile.Open(path);
            var memory = file.Data;
            Assert.True(memory.Span.SequenceEqual(contents));
            file.Dispose();
            Assert.Throws<ObjectDisposedException>(() => memory.Span[0]);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void An_empty_boot_file_has_no_bytes()
    {
        string path = Path.GetTempFileName();
        using (var file = BootFile.Open(path))
        {
            Assert.Equal(0UL, file.Length);
        }

        File.Delete(path);
    }
}
