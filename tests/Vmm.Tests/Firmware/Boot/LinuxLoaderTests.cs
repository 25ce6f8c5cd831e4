using WebVm.Vmm.Cpu.State;
using WebVm.Vmm.Devices.Display;
using WebVm.Vmm.Firmware.Boot;
using Xunit;

namespace WebVm.Vmm.Tests.Firmware.Boot;

public sealed unsafe class LinuxLoaderTests
{
    private const int Rsi = 6;

    [Fact]
    public void A_bz_image_is_loaded_where_it_prefers_and_entered_in_64_bit_mode_with_boot_params()
    {
        using var bench = new BootBench();
        var plan = bench.Load(SyntheticKernel.BzImage(), "console=ttyS0");
        var state = bench.Enter(plan);

        Assert.Equal(BootProtocol.LinuxBzImage, plan.Protocol);
        Assert.Equal(SyntheticKernel.LoadAddress + 0x200, state.Rip);
        Assert.Equal(unchecked((byte)(0x1234 * 7)), bench.Bytes(SyntheticKernel.LoadAddress + 0x1234, 1)[0]);
        Assert.Equal(0x500UL, state.Efer);
        Assert.Equal(0x8000_0031UL, state.Cr0);
        Assert.Equal(0x20UL, state.Cr4);
        Assert.Equal(2UL, state.Rflags);
        Assert.True(
            state.Segments[SegmentIndex.Cs].Attributes.HasFlag(
                SegmentAttributes.Long | SegmentAttributes.Code | SegmentAttributes.Present));
        Assert.Equal(0x10, state.Segments[SegmentIndex.Cs].Selector);
        Assert.Equal(0x18, state.Segments[SegmentIndex.Ds].Selector);

        ulong page = state.Gpr[Rsi];
        Assert.Equal("console=ttyS0", bench.Text(bench.UInt32(page + 0x228)));
        Assert.Equal(0xff, bench.Bytes(page + 0x210, 1)[0]);
        Assert.Equal((uint)SyntheticKernel.LoadAddress, bench.UInt32(page + 0x214));
        Assert.Equal(MemoryMap.SystemRom, bench.UInt64(page + 0x70));
        Assert.Equal(0, bench.Bytes(page + 0x1ef, 1)[0]);
        Assert.True(bench.ReservedMemoryIsUntouched);
    }

    [Fact]
    public void The_identity_map_and_descriptors_at_the_entry_lead_where_they_should()
    {
        using var bench = new BootBench();
        var state = bench.Enter(bench.Load(SyntheticKernel.BzImage()));

        foreach (ulong address in (ulong[])[0, 0x20_0000, SyntheticKernel.LoadAddress, 0x7fff_ffff, 0xffff_ffff])
        {
            ulong entry = bench.UInt64(state.Cr3 & ~0xfffUL);
            entry = bench.UInt64((entry & ~0xfffUL) + ((address >> 30) * 8));
            entry = bench.UInt64((entry & ~0xfffUL) + (((address >> 21) & 511) * 8));
            Assert.Equal(address & ~0x1f_ffffUL, entry & ~0x1f_ffffUL);
            Assert.Equal(0x83UL, entry & 0xfff);
        }

        Assert.Equal(0x00af_9b00_0000_ffffUL, bench.UInt64(state.Gdtr.Base + 0x10));
        Assert.Equal(0x00cf_9300_0000_ffffUL, bench.UInt64(state.Gdtr.Base + 0x18));
        Assert.Equal(47, state.Gdtr.Limit);
    }

    [Fact]
    public void The_memory_map_in_boot_params_is_the_machines()
    {
        using var bench = new BootBench();
        var plan = bench.Load(SyntheticKernel.BzImage());
        ulong page = bench.Register(plan, Rsi);

        Assert.Equal(plan.Map.Entries.Count, bench.Bytes(page + 0x1e8, 1)[0]);
        for (int i = 0; i < plan.Map.Entries.Count; i++)
        {
            ulong at = page + 0x2d0 + ((ulong)i * 20);
            Assert.Equal(
                plan.Map.Entries[i], new MemoryMapEntry(new(bench.UInt64(at)), bench.UInt64(at + 8), (MemoryMapType)bench.UInt32(at + 16)));
        }
    }

    [Fact]
    public void The_initrd_lies_as_high_as_allowed_in_free_RAM()
    {
        using var bench = new BootBench();
        byte[] contents = SyntheticKernel.Pattern(12345);
        var plan = bench.Load(SyntheticKernel.BzImage(), "", new BootModule(new BootFile("initrd", contents)));
        ulong page = bench.Register(plan, Rsi);
        uint address = bench.UInt32(page + 0x218);

        Assert.Equal(12345u, bench.UInt32(page + 0x21c));
        Assert.Equal((bench.Tables.Value - 12345) & ~0xfffUL, address);
        Assert.Equal(contents, bench.Bytes(address, contents.Length));
    }

    [Fact]
    public void The_initrd_stays_below_the_limit_in_the_header()
    {
        using var bench = new BootBench();
        byte[] kernel = SyntheticKernel.BzImage();
        SyntheticKernel.UInt32(kernel, 0x22c, 0x1ff_ffff);
        var plan = bench.Load(kernel, "", new BootModule(new BootFile("initrd", new byte[4096])));

        Assert.Equal(0x1ff_f000u, bench.UInt32(bench.Register(plan, Rsi) + 0x218));
    }

    [Fact]
    public void A_framebuffer_is_handed_over_as_an_EFI_one()
    {
        using var bench = new BootBench();
        var plan = bench.Load(
            new BootSource { Kernel = SyntheticKernel.File(SyntheticKernel.BzImage()) },
            bench.Surroundings with { Framebuffer = new(new(0x80_d000_0000), 1024, 768, 4096) });
        ulong page = bench.Register(plan, Rsi);

        Assert.Equal(0x70, bench.Bytes(page + 0x0f, 1)[0]);
        Assert.Equal([0, 4, 0, 3, 32, 0], bench.Bytes(page + 0x12, 6));
        Assert.Equal(0xd000_0000u, bench.UInt32(page + 0x18));
        Assert.Equal(4096u * 768, bench.UInt32(page + 0x1c));
        Assert.Equal([0, 16, 8, 16, 8, 8, 8, 0, 8, 24], bench.Bytes(page + 0x24, 10));
        Assert.Equal(2u, bench.UInt32(page + 0x36));
        Assert.Equal(0x80u, bench.UInt32(page + 0x3a));
    }

    [Fact]
    public void The_random_seed_is_a_setup_data_node()
    {
        using var bench = new BootBench();
        byte[] seed = SyntheticKernel.Pattern(32);
        var plan = bench.Load(new BootSource { Kernel = SyntheticKernel.File(SyntheticKernel.BzImage()), RandomSeed = seed });
        ulong node = bench.UInt64(bench.Register(plan, Rsi) + 0x250);

        Assert.Equal(0UL, bench.UInt64(node));
        Assert.Equal(9u, bench.UInt32(node + 8));
        Assert.Equal(32u, bench.UInt32(node + 12));
        Assert.Equal(seed, bench.Bytes(node + 16, 32));
    }

    [Fact]
    public void A_kernel_without_a_64_bit_entry_is_entered_in_32_bit_mode()
    {
        using var bench = new BootBench();
        var state = bench.Enter(bench.Load(SyntheticKernel.BzImage(xloadflags: 0)));

        Assert.Equal(SyntheticKernel.LoadAddress, state.Rip);
        Assert.Equal(0x31UL, state.Cr0);
        Assert.Equal(0UL, state.Efer);
        Assert.True(state.Segments[SegmentIndex.Cs].Attributes.HasFlag(SegmentAttributes.Default32));
        Assert.False(state.Segments[SegmentIndex.Cs].Attributes.HasFlag(SegmentAttributes.Long));
    }

    /// <summary>
    /// Loaded below its place it would move itself there (Linux, Documentation/arch/x86/boot.rst, pref_address), over whatever is there, or
    /// into nothing.
    /// </summary>
    [Fact]
    public void A_relocatable_kernel_is_never_loaded_below_its_place()
    {
        using var bench = new BootBench();
        byte[] kernel = SyntheticKernel.BzImage();
        SyntheticKernel.UInt64(kernel, 0x258, 0x1000_0000);

        var refused = Assert.Throws<BootException>(() => bench.Load(kernel));
        Assert.Contains("bytes of RAM at 0x10000000", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_relocatable_kernel_whose_place_is_no_RAM_moves_up_to_the_next()
    {
        using var bench = new BootBench();
        byte[] kernel = SyntheticKernel.BzImage();
        SyntheticKernel.UInt64(kernel, 0x258, 0x8_0000);

        Assert.Equal(0x20_0000UL, bench.Load(kernel).ImageStart.Value);
    }

    [Theory]
    [InlineData(2047, true)]
    [InlineData(2048, false)]
    public void The_command_line_may_be_as_long_as_the_header_says(int length, bool fits)
    {
        using var bench = new BootBench();
        string line = new('x', length);
        if (fits)
        {
            var plan = bench.Load(SyntheticKernel.BzImage(), line);
            Assert.Equal(line, bench.Text(bench.UInt32(bench.Register(plan, Rsi) + 0x228)));
        }
        else
        {
            var e = Assert.Throws<BootException>(() => bench.Load(SyntheticKernel.BzImage(), line));
            Assert.Equal("kernel.bin: the command line has 2048 bytes, this kernel takes 2047", e.Message);
        }
    }

    [Fact]
    public void An_ELF_vmlinux_is_loaded_by_physical_address_with_its_BSS_cleared()
    {
        using var bench = new BootBench();
        bench.Memory.TryFill(new(0x100_0000), 0x4000, 0xcc);
        byte[] text = SyntheticKernel.Pattern(0x1000);
        var plan = bench.Load(SyntheticKernel.Elf64(0x100_0080,
            new SyntheticKernel.Segment(1, 0x100_0000, text, 0x3000, VirtualAddress: 0xffff_ffff_8100_0000)), "quiet");
        var state = bench.Enter(plan);

        Assert.Equal(BootProtocol.LinuxElf, plan.Protocol);
        Assert.Equal(0x100_0080UL, state.Rip);
        Assert.Equal(text, bench.Bytes(0x100_0000, text.Length));
        Assert.Equal(new byte[0x2000], bench.Bytes(0x100_1000, 0x2000));
        Assert.Equal(0xcc, bench.Bytes(0x100_3000, 1)[0]);
        Assert.Equal(0xaa55, BitConverter.ToUInt16(bench.Bytes(state.Gpr[Rsi] + 0x1fe, 2)));
        Assert.Equal("quiet", bench.Text(bench.UInt32(state.Gpr[Rsi] + 0x228)));
    }

    [Fact]
    public void Broken_files_are_refused_by_name_and_reason()
    {
        using var bench = new BootBench();
        byte[] good = SyntheticKernel.BzImage();
        (byte[] File, string Reason)[] broken =
        [
            ([], "empty"),
            (new byte[4096], "not recognized"),
            (good[..0x300], "truncated"),
            (good[..^100], "truncated"),
            (With(good, f => f[0x211] = 0), "zImage"),
            (With(good, f => SyntheticKernel.UInt16(f, 0x206, 0x201)), "too old"),

            // As iPXE's image and MEMDISK say it.
            (With(good, f => SyntheticKernel.UInt32(f, 0x214, 0)), "calls a BIOS"),
            (With(good, f =>
            {
                SyntheticKernel.UInt16(f, 0x20e, 0x200);
                "MEMDISK 6.04"u8.CopyTo(f.AsSpan(0x400));
            }), "calls a BIOS"),
            (With(good, f => f[0x201] = 0x10), "setup header ends"),
            (With(good, f => f[0x1f1] = 255), "truncated"),
            (With(good, f => SyntheticKernel.UInt32(f, 0x230, 3)), "not a power of two"),
            (With(good, f => SyntheticKernel.UInt32(f, 0x24c, 0xffff_ffff)), "truncated"),
            (With(good, f => SyntheticKernel.UInt32(f, 0x260, 0x7fff_ffff)), "needs 2147483647 bytes of RAM"),
            (With(SyntheticKernel.BzImage(relocatable: false), f => SyntheticKernel.UInt64(f, 0x258, ulong.MaxValue)),
                "of RAM at 0xffffffffffffffff"),
        ];
        foreach (var (file, reason) in broken)
        {
            var e = Assert.Throws<BootException>(() => bench.Load(file));
            Assert.StartsWith("kernel.bin: ", e.Message, StringComparison.Ordinal);
            Assert.Contains(reason, e.Message, StringComparison.Ordinal);
        }

        var missing = Assert.Throws<BootException>(() => BootFile.Open("/nonexistent/kernel"));
        Assert.Contains("/nonexistent/kernel", missing.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_initrd_larger_than_RAM_is_refused_by_its_name()
    {
        using var bench = new BootBench(32 << 20);
        var e = Assert.Throws<BootException>(
            () => bench.Load(SyntheticKernel.BzImage(), "", new BootModule(new BootFile("big.cpio", new byte[31 << 20]))));

        Assert.StartsWith("big.cpio: ", e.Message, StringComparison.Ordinal);
    }

    private static byte[] With(byte[] file, Action<byte[]> change)
    {
        byte[] copy = (byte[])file.Clone();
        change(copy);
        return copy;
    }
}
