using WebVm.Vmm.Firmware.Boot;
using WebVm.Vmm.Host;
using Xunit;

namespace WebVm.Vmm.Tests.Host;

/// <summary>Memory that goes back to the host.</summary>
public sealed unsafe class HostBufferTests
{
    [Fact]
    public void WhatIsDiscardedReadsAsZeroAndCanBeWrittenAgain()
    {
        using var memory = AddressReservation.Zeroed(3 * 4096);
        memory.Base[5000] = 7;
        memory.Discard();
        Assert.Equal(0, memory.Base[5000]);
        memory.Base[5000] = 8;
        Assert.Equal(8, memory.Base[5000]);
    }

    [Fact]
    public void ABootFilesBytesAreTheFilesUntilItIsDisposedAndNobodysThen()
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
    public void AnEmptyBootFileHasNoBytes()
    {
        string path = Path.GetTempFileName();
        using (var file = BootFile.Open(path))
        {
            Assert.Equal(0UL, file.Length);
        }

        File.Delete(path);
    }
}
