using WebVm.Vmm.Interrupts;
using Xunit;

namespace WebVm.Vmm.Tests.Interrupts;

public sealed class LocalApicTests
{
    private const int Tpr = 0x80;
    private const int Ppr = 0xa0;
    private const int Eoi = 0xb0;
    private const int Svr = 0xf0;
    private const int Esr = 0x280;
    private const int IcrLow = 0x300;
    private const int IcrHigh = 0x310;
    private const int LvtTimer = 0x320;
    private const int LvtLint0 = 0x350;
    private const int LvtError = 0x370;

    [Fact]
    public void Power_on_state_is_the_manuals()
    {
        using var bench = new ApicBench(2);
        var apic = bench[1];

        Assert.Equal(0xfee0_0800UL, apic.Base);
        Assert.Equal(0xfee0_0900UL, bench[0].Base);
        Assert.Equal(1u << 24, apic.ReadMmio(0x20, 4));
        Assert.Equal(0xffUL, apic.ReadMmio(Svr, 4));
        Assert.Equal(0xffff_ffffUL, apic.ReadMmio(0xe0, 4));
        Assert.Equal(0UL, apic.ReadMmio(0xd0, 4));
        for (int offset = LvtTimer; offset <= LvtError; offset += 0x10)
        {
            Assert.Equal(0x1_0000UL, apic.ReadMmio(offset, 4));
        }

        Assert.Equal(0x700UL, bench[0].ReadMmio(LvtLint0, 4));
        Assert.Equal(0x14u, (byte)apic.ReadMmio(0x30, 4));
    }

    [Fact]
    public void Interrupts_come_by_priority_and_nest_by_class()
    {
        using var bench = new ApicBench(1).Enable();
        var apic = bench[0];
        apic.Deliver(0x31, false);
        apic.Deliver(0x52, false);
        apic.Deliver(0x55, false);

        Assert.Equal(0x55, apic.Acknowledge());
        Assert.Equal(0x50UL, apic.ReadMmio(Ppr, 4));
        Assert.False(apic.HasPending);
        Assert.Equal(-1, apic.Acknowledge());

        apic.Deliver(0x60, false);
        Assert.Equal(0x60, apic.Acknowledge());
        apic.WriteMmio(Eoi, 4, 0);
        Assert.Equal(-1, apic.Acknowledge());
        apic.WriteMmio(Eoi, 4, 0);
        Assert.Equal(0x52, apic.Acknowledge());
        apic.WriteMmio(Eoi, 4, 0);
        Assert.Equal(0x31, apic.Acknowledge());
        apic.WriteMmio(Eoi, 4, 0);
        Assert.Equal(0UL, apic.ReadMmio(Ppr, 4));
        Assert.Equal(-1, apic.Acknowledge());
    }

    [Fact]
    public void Task_priority_holds_back_its_class_and_lowering_it_tells_the_vcpu()
    {
        using var bench = new ApicBench(1).Enable();
        var apic = bench[0];
        apic.Cr8 = 5;
        Assert.Equal(0x50, apic.TaskPriority);
        apic.Deliver(0x5f, false);
        Assert.False(apic.HasPending);

        int before = bench.Owners[0].Signals;
        apic.WriteMmio(Tpr, 4, 0x4f);
        Assert.True(bench.Owners[0].Signals > before);
        Assert.Equal(4UL, apic.Cr8);
        Assert.Equal(0x5f, apic.Acknowledge());
    }

    [Fact]
    public void An_end_of_interrupt_tells_the_vcpu_of_what_waited()
    {
        using var bench = new ApicBench(1).Enable();
        var apic = bench[0];
        apic.Deliver(0x51, false);
        apic.Acknowledge();
        apic.Deliver(0x50, false);
        int before = bench.Owners[0].Signals;

        apic.WriteMmio(Eoi, 4, 0);

        Assert.True(bench.Owners[0].Signals > before);
        Assert.True(apic.HasPending);
    }

    [Fact]
    public void Ending_a_level_interrupt_is_broadcast_and_an_edge_is_not()
    {
        using var bench = new ApicBench(1).Enable();
        var ended = new List<byte>();
        bench.Bus.LevelInterruptEnded = ended.Add;
        var apic = bench[0];

        apic.Deliver(0x41, level: true);
        apic.Acknowledge();
        apic.WriteMmio(Eoi, 4, 0);
        apic.Deliver(0x41, level: false);
        apic.Acknowledge();
        apic.WriteMmio(Eoi, 4, 0);
        apic.WriteMmio(Eoi, 4, 0);

        Assert.Equal([0x41], ended);
    }

    [Fact]
    public void A_software_disabled_apic_takes_no_fixed_interrupts_but_nmi_init_and_sipi()
    {
        using var bench = new ApicBench(1);
        var apic = bench[0];

        Assert.False(apic.Deliver(0x40, false));
        Assert.False(apic.HasPending);
        Assert.True(bench.Bus.Send(new ApicMessage(0, false, ApicDeliveryMode.Nmi, 0, false)));
        Assert.True(bench.Bus.Send(new ApicMessage(0, false, ApicDeliveryMode.Init, 0, false)));
        Assert.True(bench.Bus.Send(new ApicMessage(0, false, ApicDeliveryMode.StartUp, 0x9a, false)));
        Assert.Equal(["nmi", "init", "sipi 9a"], bench.Owners[0].Events);
    }

    [Fact]
    public void Lvt_entries_stay_masked_while_the_apic_is_disabled()
    {
        using var bench = new ApicBench(1).Enable();
        var apic = bench[0];
        apic.WriteMmio(LvtTimer, 4, 0x30);
        Assert.Equal(0x30UL, apic.ReadMmio(LvtTimer, 4));

        apic.WriteMmio(Svr, 4, 0xff);
        Assert.Equal(0x1_0030UL, apic.ReadMmio(LvtTimer, 4));
        apic.WriteMmio(LvtTimer, 4, 0x31);
        Assert.Equal(0x1_0031UL, apic.ReadMmio(LvtTimer, 4));
    }

    [Fact]
    public void Errors_are_latched_by_a_write_and_raise_the_error_interrupt()
    {
        using var bench = new ApicBench(2).Enable();
        var apic = bench[0];
        apic.WriteMmio(LvtError, 4, 0xfe);

        apic.WriteMmio(IcrHigh, 4, 1 << 24);
        apic.WriteMmio(IcrLow, 4, 0x0f);
        Assert.Equal(0xfe, apic.Acknowledge());
        apic.WriteMmio(Eoi, 4, 0);
        bench.Bus.Send(new ApicMessage(0, false, ApicDeliveryMode.Fixed, 3, false));
        apic.WriteMmio(0x3a0, 4, 1);

        Assert.Equal(0UL, apic.ReadMmio(Esr, 4));
        apic.WriteMmio(Esr, 4, 0);
        Assert.Equal(0xe0UL, apic.ReadMmio(Esr, 4));
        apic.WriteMmio(Esr, 4, 0);
        Assert.Equal(0UL, apic.ReadMmio(Esr, 4));
        Assert.Empty(bench.Requested(0x0f));
    }

    [Fact]
    public void An_illegal_error_vector_does_not_report_itself()
    {
        using var bench = new ApicBench(1).Enable();
        bench[0].WriteMmio(LvtError, 4, 0x05);
        bench[0].Deliver(0x03, false);
        bench[0].WriteMmio(Esr, 4, 0);
        Assert.Equal(0x40UL, bench[0].ReadMmio(Esr, 4));
    }

    [Theory]
    [InlineData(0x01_000000u, 0x0004_0u, new[] { 1 })]
    [InlineData(0xff_000000u, 0x0004_0u, new[] { 0, 1, 2, 3 })]
    [InlineData(0x00_000000u, 0x4_0040u, new[] { 2 })]
    [InlineData(0x00_000000u, 0x8_0040u, new[] { 0, 1, 2, 3 })]
    [InlineData(0x00_000000u, 0xc_0040u, new[] { 0, 1, 3 })]
    [InlineData(0x0a_000000u, 0x0840u, new[] { 1, 3 })]
    [InlineData(0xff_000000u, 0x0840u, new[] { 0, 1, 2, 3 })]
    [InlineData(0x77_000000u, 0x0040u, new int[0])]
    public void Inter_processor_interrupts_reach_their_destination_in_flat_mode(uint high, uint low, int[] reached)
    {
        using var bench = new ApicBench(4).Enable();
        for (int i = 0; i < 4; i++)
        {
            bench[i].WriteMmio(0xd0, 4, 1u << (24 + i));
        }

        bench[2].WriteMmio(IcrHigh, 4, high);
        bench[2].WriteMmio(IcrLow, 4, (low & 0xf_0f00) | 0x44);

        Assert.Equal(reached, bench.Requested(0x44));
        Assert.Equal(0UL, bench[2].ReadMmio(IcrLow, 4) & (1 << 12));
    }

    [Theory]
    [InlineData(0x12, new[] { 1 })]
    [InlineData(0x13, new[] { 0, 1 })]
    [InlineData(0x2f, new[] { 2, 3 })]
    [InlineData(0xff, new[] { 0, 1, 2, 3 })]
    [InlineData(0x3f, new int[0])]
    public void Cluster_model_compares_cluster_and_member(int destination, int[] reached)
    {
        using var bench = new ApicBench(4).Enable();
        for (int i = 0; i < 4; i++)
        {
            bench[i].WriteMmio(0xe0, 4, 0x0fff_ffff);
            bench[i].WriteMmio(0xd0, 4, (ulong)(((i / 2) + 1) << 4 | 1 << (i % 2)) << 24);
        }

        bench.Bus.Send(new ApicMessage(ApicMessage.WidenDestination((byte)destination), true, ApicDeliveryMode.Fixed, 0x55, false));

        Assert.Equal(reached, bench.Requested(0x55));
    }

    [Theory]
    [InlineData(0x12u, false, new[] { 2 })]
    [InlineData(0x123u, false, new[] { 3 })]
    [InlineData(0xffff_ffffu, false, new[] { 0, 1, 2, 3 })]
    [InlineData(0x0000_0003u, true, new[] { 0, 1 })]
    [InlineData(0x0001_0004u, true, new[] { 2 })]
    [InlineData(0x0012_0008u, true, new[] { 3 })]
    [InlineData(0xffff_ffffu, true, new[] { 0, 1, 2, 3 })]
    public void X2apic_destinations_have_32_bits(uint destination, bool logical, int[] reached)
    {
        uint[] ids = [0, 1, 0x12, 0x123];
        using var bench = new ApicBench(4, i => ids[i]).EnableX2Apic();
        Assert.True(bench[3].TryReadMsr(0x80d, out ulong ldr));
        Assert.Equal(0x0012_0008UL, ldr);

        Assert.True(bench[0].TryWriteMsr(0x830, ((ulong)destination << 32) | (logical ? 0x800u : 0) | 0x66));

        Assert.Equal(reached, bench.Requested(0x66));
    }

    [Fact]
    public void Lowest_priority_goes_to_the_processor_with_least_priority_and_takes_turns()
    {
        using var bench = new ApicBench(3).Enable();
        bench[0].TaskPriority = 0x20;
        for (int i = 0; i < 3; i++)
        {
            bench[i].WriteMmio(0xd0, 4, 1u << (24 + i));
        }

        bench.Bus.Send(new ApicMessage(7, true, ApicDeliveryMode.LowestPriority, 0x71, false));
        bench.Bus.Send(new ApicMessage(7, true, ApicDeliveryMode.LowestPriority, 0x71, false));
        Assert.Equal([1, 2], bench.Requested(0x71));

        bench[1].TaskPriority = bench[2].TaskPriority = 0x30;
        bench.Bus.Send(new ApicMessage(7, true, ApicDeliveryMode.LowestPriority, 0x72, false));
        Assert.Equal([0], bench.Requested(0x72));
    }

    [Fact]
    public void Init_then_sipi_start_another_processor_and_the_deassert_is_ignored()
    {
        using var bench = new ApicBench(2).Enable();
        bench[0].WriteMmio(IcrHigh, 4, 1 << 24);
        bench[0].WriteMmio(IcrLow, 4, 0xc500);
        bench[0].WriteMmio(IcrLow, 4, 0x8500);
        bench[0].WriteMmio(IcrLow, 4, 0x0698);

        Assert.Equal(["init", "sipi 98"], bench.Owners[1].Events);
        Assert.Empty(bench.Owners[0].Events);
    }

    [Fact]
    public void An_x2apic_starts_processors_that_are_still_in_xapic_mode()
    {
        using var bench = new ApicBench(2, i => i == 0 ? 0u : 0x101u);
        bench[0].TryWriteMsr(0x1b, bench[0].Base | LocalApic.BaseX2ApicEnable);
        Assert.True(bench[0].TryWriteMsr(0x830, (0x101UL << 32) | 0x4500));
        Assert.Equal(["init"], bench.Owners[1].Events);
    }

    [Fact]
    public void Self_ipi_is_an_x2apic_register()
    {
        using var bench = new ApicBench(1).Enable();
        bench[0].WriteMmio(0x3f0, 4, 0x44);
        Assert.Empty(bench.Requested(0x44));

        bench.EnableX2Apic();
        Assert.True(bench[0].TryWriteMsr(0x83f, 0x44));
        Assert.Equal([0], bench.Requested(0x44));
        Assert.False(bench[0].TryReadMsr(0x83f, out _));
    }

    [Theory]
    [InlineData(0x800UL, 0xc00UL, true)]
    [InlineData(0x800UL, 0x000UL, true)]
    [InlineData(0x800UL, 0x400UL, false)]
    [InlineData(0xc00UL, 0x800UL, false)]
    [InlineData(0xc00UL, 0x400UL, false)]
    [InlineData(0xc00UL, 0x000UL, true)]
    [InlineData(0x000UL, 0xc00UL, false)]
    [InlineData(0x000UL, 0x800UL, true)]
    [InlineData(0x800UL, 0xa00UL, false)]
    [InlineData(0x800UL, 0x801UL, false)]
    [InlineData(0x800UL, 0x100_0000_0800UL, false)]
    public void Apic_base_knows_which_mode_changes_are_legal(ulong from, ulong to, bool legal)
    {
        using var bench = new ApicBench(1);
        bench[0].LoadBase(LocalApic.DefaultBase | from);

        Assert.Equal(legal, bench[0].TrySetBase(LocalApic.DefaultBase | to));
        Assert.Equal(LocalApic.DefaultBase | (legal ? to : from), bench[0].Base);
    }

    [Fact]
    public void The_register_page_moves_with_the_base_and_goes_in_x2apic_mode()
    {
        using var bench = new ApicBench(1);
        Assert.Equal(0xfee0_0000UL, bench[0].Page?.Value);
        Assert.True(bench[0].TrySetBase(0xfed5_0900));
        Assert.Equal(0xfed5_0000UL, bench[0].Page?.Value);
        Assert.True(bench[0].TrySetBase(0xfed5_0d00));
        Assert.Null(bench[0].Page);
    }

    [Fact]
    public void X2apic_msrs_refuse_what_the_manual_reserves()
    {
        using var bench = new ApicBench(1);
        Assert.False(bench[0].TryReadMsr(0x802, out _));
        bench.EnableX2Apic();
        var apic = bench[0];

        Assert.True(apic.TryReadMsr(0x802, out ulong id));
        Assert.Equal(0UL, id);
        foreach (uint writeOnlyOrAbsent in new uint[] { 0x80b, 0x80e, 0x831, 0x83f, 0x804, 0x840 })
        {
            Assert.False(apic.TryReadMsr(writeOnlyOrAbsent, out _));
        }

        foreach (uint readOnly in new uint[] { 0x802, 0x803, 0x80a, 0x80d, 0x810, 0x820, 0x839 })
        {
            Assert.False(apic.TryWriteMsr(readOnly, 0));
        }

        Assert.False(apic.TryWriteMsr(0x808, 0x100));
        Assert.False(apic.TryWriteMsr(0x80b, 1));
        Assert.False(apic.TryWriteMsr(0x828, 1));
        Assert.False(apic.TryWriteMsr(0x832, 1UL << 32));
        Assert.False(apic.TryWriteMsr(0x830, 1UL << 20));
        Assert.True(apic.TryWriteMsr(0x80b, 0));
    }

    [Fact]
    public void External_interrupts_pass_lint0_in_virtual_wire_mode()
    {
        using var bench = new ApicBench(2).Enable();
        bench.Bus.AcknowledgeExternal = () => 0x68;
        bench.Bus.SetExternalInterruptLine(true);

        Assert.True(bench[0].HasPending);
        Assert.False(bench[1].HasPending);
        bench[0].Deliver(0xf0, false);
        Assert.Equal(0x68, bench[0].Acknowledge());

        bench.Bus.SetExternalInterruptLine(false);
        Assert.Equal(0xf0, bench[0].Acknowledge());
        Assert.False(bench[0].HasPending);
    }

    [Fact]
    public void External_interrupts_pass_an_apic_that_is_switched_off()
    {
        using var bench = new ApicBench(1);
        bench.Bus.AcknowledgeExternal = () => 0x08;
        Assert.True(bench[0].TrySetBase(LocalApic.DefaultBase | LocalApic.BaseBootstrapProcessor));
        bench.Bus.SetExternalInterruptLine(true);

        Assert.True(bench[0].HasPending);
        Assert.Equal(0x08, bench[0].Acknowledge());
    }

    [Fact]
    public void Lint0_in_fixed_mode_is_an_ordinary_edge()
    {
        using var bench = new ApicBench(1).Enable();
        bench[0].WriteMmio(LvtLint0, 4, 0x39);
        bench.Bus.SetExternalInterruptLine(true);
        bench.Bus.SetExternalInterruptLine(true);

        Assert.Equal(0x39, bench[0].Acknowledge());
        bench[0].WriteMmio(Eoi, 4, 0);
        Assert.False(bench[0].HasPending);
        bench.Bus.SetExternalInterruptLine(false);
        bench.Bus.SetExternalInterruptLine(true);
        Assert.Equal(0x39, bench[0].Acknowledge());
    }

    [Fact]
    public void Lint1_brings_nmis_where_its_entry_says_so()
    {
        using var bench = new ApicBench(1).Enable();
        bench[0].PulseLint1();
        Assert.Empty(bench.Owners[0].Events);
        bench[0].WriteMmio(0x360, 4, 0x400);
        bench[0].PulseLint1();
        Assert.Equal(["nmi"], bench.Owners[0].Events);
    }

    [Fact]
    public void Registers_are_read_in_parts_and_written_whole()
    {
        using var bench = new ApicBench(1).Enable();
        var apic = bench[0];
        apic.WriteMmio(0xd0, 4, 0xab00_0000);
        Assert.Equal(0xabUL, apic.ReadMmio(0xd3, 1));
        Assert.Equal(0xab00UL, apic.ReadMmio(0xd2, 2));
        Assert.Equal(0UL, apic.ReadMmio(0xd4, 4));
        apic.WriteMmio(0xd0, 1, 0xff);
        apic.WriteMmio(0xd1, 4, 0xff);
        Assert.Equal(0xab00_0000UL, apic.ReadMmio(0xd0, 8));
    }

    [Fact]
    public void Init_resets_everything_but_id_and_mode()
    {
        using var bench = new ApicBench(2).EnableX2Apic();
        var apic = bench[1];
        apic.Deliver(0x44, true);
        apic.TaskPriority = 0x20;

        apic.Init();

        Assert.False(apic.HasPending);
        Assert.Equal(0, apic.TaskPriority);
        Assert.False(apic.Enabled);
        Assert.True(apic.TryReadMsr(0x802, out ulong id));
        Assert.Equal(1UL, id);
    }
}
