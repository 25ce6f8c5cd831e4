using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Devices.Display;
using WebVm.Vmm.Firmware.Boot;
using Xunit;

namespace WebVm.Vmm.Tests.Firmware.Boot;

public sealed unsafe class ProtocolLoaderTests
{
    private const int Rax = 0;
    private const int Rbx = 3;

    [Fact]
    public void A_PVH_kernel_finds_its_start_info_and_modules()
    {
        using var bench = new BootBench();
        byte[] module = SyntheticKernel.Pattern(777);
        var plan = bench.Load(SyntheticKernel.Pvh(), "a b", new BootModule(new BootFile("m", module), "x=1"));
        var state = bench.Enter(plan);

        Assert.Equal(BootProtocol.Pvh, plan.Protocol);
        AssertFlat32(state);
        Assert.Equal(0x20_0010UL, state.Rip);
        ulong info = state.Gpr[Rbx];
        Assert.Equal(0x336e_c578u, bench.UInt32(info));
        Assert.Equal(1u, bench.UInt32(info + 4));
        Assert.Equal(1u, bench.UInt32(info + 12));
        Assert.Equal("a b", bench.Text(bench.UInt64(info + 24)));
        Assert.Equal(MemoryMap.SystemRom, bench.UInt64(info + 32));
        Assert.Equal((uint)plan.Map.Entries.Count, bench.UInt32(info + 48));
        ulong map = bench.UInt64(info + 40);
        Assert.Equal(plan.Map.Entries[^1].Base.Value, bench.UInt64(map + (24 * ((ulong)plan.Map.Entries.Count - 1))));
        ulong list = bench.UInt64(info + 16);
        Assert.Equal(module, bench.Bytes(bench.UInt64(list), 777));
        Assert.Equal(777UL, bench.UInt64(list + 8));
        Assert.Equal("x=1", bench.Text(bench.UInt64(list + 16)));
    }

    [Theory]
    [InlineData(true, true, BootProtocol.LinuxElf)]
    [InlineData(true, false, BootProtocol.Pvh)]
    [InlineData(false, true, BootProtocol.Pvh)]
    public void Of_two_entries_Linux_is_taken_by_the_one_that_hands_a_display_over(bool linux, bool display, BootProtocol expected)
    {
        using var bench = new BootBench();
        var framebuffer = display ? new LinearFramebuffer(new(0xd000_0000), 800, 600, 3200) : null;
        var plan = bench.Load(
            new BootSource { Kernel = SyntheticKernel.File(linux ? SyntheticKernel.PvhLinux() : SyntheticKernel.Pvh()) },
            bench.Surroundings with { Framebuffer = framebuffer });

        Assert.Equal(expected, plan.Protocol);
        Assert.Equal(expected == BootProtocol.LinuxElf, plan.LongMode);
    }

    [Fact]
    public void A_Multiboot_ELF_is_entered_at_the_physical_address_of_its_entry()
    {
        using var bench = new BootBench();
        byte[] module = SyntheticKernel.Pattern(5000);
        var plan = bench.Load(SyntheticKernel.MultibootElf(), "-v", new BootModule(new BootFile("m", module), "mod arg"));
        var state = bench.Enter(plan);

        Assert.Equal(BootProtocol.Multiboot, plan.Protocol);
        AssertFlat32(state);
        Assert.Equal(0x10_0040UL, state.Rip);
        Assert.Equal(0x2bad_b002UL, state.Gpr[Rax]);
        ulong info = state.Gpr[Rbx];
        uint flags = bench.UInt32(info);
        Assert.Equal(0x24du, flags & 0x24d);
        Assert.Equal(639u, bench.UInt32(info + 4));
        Assert.Equal((uint)((bench.Tables.Value - 0x10_0000) >> 10), bench.UInt32(info + 8));
        Assert.Equal("kernel.bin -v", bench.Text(bench.UInt32(info + 16)));
        Assert.Equal(1u, bench.UInt32(info + 20));
        uint list = bench.UInt32(info + 24);
        uint start = bench.UInt32(list);
        Assert.Equal(0u, start % 4096);
        Assert.Equal(5000u, bench.UInt32(list + 4) - start);
        Assert.Equal(module, bench.Bytes(start, module.Length));
        Assert.Equal("mod arg", bench.Text(bench.UInt32(list + 8)));
        Assert.Equal("WebVm", bench.Text(bench.UInt32(info + 64)));

        List<MemoryMapEntry> map = [];
        ulong at = bench.UInt32(info + 48), end = at + bench.UInt32(info + 44);
        while (at < end)
        {
            map.Add(new(new(bench.UInt64(at + 4)), bench.UInt64(at + 12), (MemoryMapType)bench.UInt32(at + 20)));
            at += bench.UInt32(at) + 4;
        }

        Assert.Equal(plan.Map.Entries, map);
    }

    [Fact]
    public void A_Multiboot_image_with_address_fields_is_loaded_by_them()
    {
        using var bench = new BootBench();
        bench.Memory.TryFill(new(0x20_0000), 0x1000, 0xcc);
        byte[] file = SyntheticKernel.MultibootKludge();
        var state = bench.Enter(bench.Load(file));

        Assert.Equal(0x20_0080UL, state.Rip);
        Assert.Equal(file[0x10..0x410], bench.Bytes(0x20_0000, 0x400));
        Assert.Equal(new byte[0x100], bench.Bytes(0x20_0400, 0x100));
        Assert.Equal(0xcc, bench.Bytes(0x20_0500, 1)[0]);
    }

    [Fact]
    public void A_framebuffer_is_in_the_Multiboot_information()
    {
        using var bench = new BootBench();
        var plan = bench.Load(
            new BootSource { Kernel = SyntheticKernel.File(SyntheticKernel.MultibootElf()) },
            bench.Surroundings with { Framebuffer = new(new(0xd000_0000), 800, 600, 3200) });
        ulong info = bench.Register(plan, Rbx);

        Assert.Equal(0x1000u, bench.UInt32(info) & 0x1000);
        Assert.Equal(0xd000_0000UL, bench.UInt64(info + 88));
        Assert.Equal(3200u, bench.UInt32(info + 96));
        Assert.Equal([32, 1, 16, 8, 8, 8, 0, 8], bench.Bytes(info + 108, 8));
    }

    [Fact]
    public void Wrong_images_are_refused_with_their_reason()
    {
        using var bench = new BootBench();
        (byte[] File, string Reason)[] wrong =
        [
            (SyntheticKernel.Pvh(entry: 0x20_3000), "entry point 0x203000 lies outside"),
            (SyntheticKernel.Elf64(0x20_0000, Load(0x20_0000, 0x1000), Load(0x20_0fff, 0x10)), "overlaps"),
            (SyntheticKernel.Elf64(0x20_0000, Load(0x20_0000, 0x1_0000_0000)), "is not in RAM"),
            (SyntheticKernel.Elf64(0x20_0000, Load(ulong.MaxValue - 0x800, 0x1000)), "is not in RAM"),
            (SyntheticKernel.Elf64(0x9_f000, Load(0x9_f000, 0x2000)), "is not in RAM"),
            (SyntheticKernel.Elf64(0x20_0000), "no ELF segment"),
            (SyntheticKernel.Elf64(
                0x20_0000, new SyntheticKernel.Segment(1, 0x20_0000, new byte[64], 32)), "more bytes in the file than in memory"),
            (SyntheticKernel.Elf32(0x20_0000, Load(0x20_0000, 0x1000)), "without a Multiboot header"),
            ([.. SyntheticKernel.MultibootHeader(0x8), .. new byte[64]], "unknown to Multiboot"),
            ([.. SyntheticKernel.MultibootHeader(0x1), .. new byte[64]], "not ELF"),
            (Kludge(0x20_0000, 0x20_0001, 0, 0, 0x20_0000), "do not fit"),
            (Kludge(0x20_0000, 0x20_0000, 0x10_0000, 0, 0x20_0000), "lies below load_addr"),
            (Kludge(0x20_0000, 0x20_0000, 0x30_0000, 0, 0x20_0000), "truncated"),
            (Kludge(0x20_0000, 0x20_0000, 0x20_0010, 0x20_0008, 0x20_0000), "bss_end_addr"),
            (Kludge(0x20_0000, 0x20_0000, 0x20_0010, 0xffff_fff0, 0x20_0000), "is not in RAM"),
            (Kludge(0x20_0000, 0x20_0000, 0x20_0010, 0, 0x10), "entry point 0x10 lies outside"),
        ];
        foreach (var (file, reason) in wrong)
        {
            var e = Assert.Throws<BootException>(() => bench.Load(file));
            Assert.Contains(reason, e.Message, StringComparison.Ordinal);
        }

        Assert.True(bench.ReservedMemoryIsUntouched);
    }

    [Fact]
    public void An_ELF_file_without_the_PVH_note_is_refused_as_PVH()
    {
        using var bench = new BootBench();
        var e = Assert.Throws<BootException>(() => bench.Load(new BootSource
        {
            Kernel = SyntheticKernel.File(SyntheticKernel.Elf64(0x20_0000, Load(0x20_0000, 0x1000))),
            Protocol = BootProtocol.Pvh,
        }));

        Assert.Contains("PHYS32_ENTRY note is missing", e.Message, StringComparison.Ordinal);
    }

    private static SyntheticKernel.Segment Load(ulong address, ulong memorySize) => new(1, address, new byte[16], memorySize);

    private static byte[] Kludge(params uint[] addressFields) =>
        [.. SyntheticKernel.MultibootHeader(0x1_0000, addressFields), .. new byte[64]];

    private static void AssertFlat32(CpuState state)
    {
        Assert.Equal(0x31UL, state.Cr0);
        Assert.Equal(0UL, state.Cr4);
        Assert.Equal(0UL, state.Efer);
        Assert.Equal(2UL, state.Rflags);
        foreach (var index in (SegmentIndex[])[SegmentIndex.Cs, SegmentIndex.Ss, SegmentIndex.Ds, SegmentIndex.Es])
        {
            var segment = state.Segments[index];
            Assert.Equal(0UL, segment.Base);
            Assert.Equal(uint.MaxValue, segment.Limit);
            Assert.True(
                segment.Attributes.HasFlag(SegmentAttributes.Present | SegmentAttributes.Default32 | SegmentAttributes.WritableOrReadable));
            Assert.False(segment.Attributes.HasFlag(SegmentAttributes.Long));
        }

        Assert.Equal(0x67u, state.Segments[SegmentIndex.Tr].Limit);
    }
}
