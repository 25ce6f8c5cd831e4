using System.Buffers.Binary;
using WebVm.Vmm.Firmware;
using WebVm.Vmm.Firmware.Boot;
using WebVm.Vmm.Memory;
using WebVm.Vmm.Tests.Firmware.Boot;
using Xunit;

namespace WebVm.Vmm.Tests.Firmware;

public sealed class DirectBootTests
{
    [Theory]
    [InlineData(32 << 20)]
    [InlineData(0xc000_0000)]
    public void What_firmware_leaves_in_memory_is_where_software_looks_for_it(ulong ram)
    {
        using var memory = Machine(ram);
        var plan = Prepare(memory, ram);

        byte[] data = new byte[0x100];
        Assert.True(memory.TryRead(new GuestPhysicalAddress(0x400), data.AsSpan()));
        Assert.Equal(0x3f8, BinaryPrimitives.ReadUInt16LittleEndian(data));
        Assert.Equal(0x9fc0, BinaryPrimitives.ReadUInt16LittleEndian(data.AsSpan(0x0e)));
        Assert.Equal(639, BinaryPrimitives.ReadUInt16LittleEndian(data.AsSpan(0x13)));
        Assert.True(memory.TryRead(new GuestPhysicalAddress(0x9_fc00), out byte kilobytes) && kilobytes == 1);
        Assert.True(memory.TryRead(new GuestPhysicalAddress(0xf_0000), out ulong rsdp) && rsdp == BitConverter.ToUInt64("RSD PTR "u8));
        Assert.True(memory.TryRead(new GuestPhysicalAddress(0xf_0040), out uint smbios) && smbios == BitConverter.ToUInt32("_SM3"u8));
        Assert.Equal(
            [MemoryMapType.AcpiNvs, MemoryMapType.AcpiReclaimable],
            plan.Map.Entries.Select(e => e.Type).Where(t => t > MemoryMapType.Reserved));
        Assert.Contains(plan.Map.Entries, e => e.Type == MemoryMapType.AcpiReclaimable && e.End.Value == ram);
    }

    [Fact]
    public void A_machine_without_room_for_tables_is_refused()
    {
        using var memory = Machine(1 << 20);

        Assert.Throws<BootException>(() => Prepare(memory, 1 << 20));
    }

    [Fact]
    public void Preparing_a_second_time_gives_the_same_guest()
    {
        using var memory = Machine(64 << 20);
        var first = Prepare(memory, 64 << 20);
        byte[] before = Low(memory);
        var second = Prepare(memory, 64 << 20);

        Assert.Equal(before, Low(memory));
        Assert.Equal(first.Entry, second.Entry);
    }

    private static byte[] Low(GuestMemory memory)
    {
        byte[] bytes = new byte[1 << 20];
        Assert.True(memory.TryRead(new GuestPhysicalAddress(0), bytes.AsSpan()));
        return bytes;
    }

    private static GuestMemory Machine(ulong ram)
    {
        var memory = new GuestMemory();
        Assert.True(memory.TryMap(memory.CreateRegion("ram", GuestMemoryKind.Ram, ram), new(0)));
        return memory;
    }

    private static BootPlan Prepare(GuestMemory memory, ulong ram) => DirectBoot.Prepare(
        memory,
        QemuBoot.Describe(cpus: 2, ram),
        new BootSource { Kernel = SyntheticKernel.File(SyntheticKernel.BzImage()), RandomSeed = new byte[32] });
}
