using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Memory;
using Xunit;

namespace WebVm.Vmm.Tests.Interrupts;

public sealed class ParavirtualEoiTests : IDisposable
{
    private static readonly GuestPhysicalAddress Flag = new(0x1234);

    private readonly GuestMemory _memory = new();
    private readonly ApicBench _bench = new ApicBench(1).Enable();
    private readonly LocalApic _apic;

    public ParavirtualEoiTests()
    {
        _memory.TryMap(_memory.CreateRegion("ram", GuestMemoryKind.Ram, 1 << 20), new(0));
        _apic = _bench[0];
        _apic.OfferEndOfInterrupt(_memory, Flag);
    }

    private byte Bit
    {
        get => _memory.TryRead(Flag, out byte value) ? value : throw new InvalidOperationException();
        set => _memory.TryWrite(Flag, value);
    }

    public void Dispose()
    {
        _bench.Dispose();
        _memory.Dispose();
    }

    [Fact]
    public void An_interrupt_alone_is_ended_by_clearing_the_bit()
    {
        _apic.Deliver(0x51, false);
        Assert.Equal(0x51, _apic.Acknowledge());
        Assert.Equal(1, Bit);
        Bit = 0;
        _apic.Deliver(0x50, false);

        Assert.True(_apic.HasPending);
        Assert.Equal(0x50, _apic.Acknowledge());
        Assert.Equal(1, _apic.ParavirtualEnds);
    }

    [Fact]
    public void The_offer_is_withdrawn_when_something_waits_for_the_end()
    {
        _apic.Deliver(0x51, false);
        _apic.Acknowledge();
        _apic.Deliver(0x50, false);
        Assert.Equal(-1, _apic.Acknowledge());
        Assert.Equal(0, Bit);

        int signals = _bench.Owners[0].Signals;
        _apic.WriteMmio(0xb0, 4, 0);
        Assert.True(_bench.Owners[0].Signals > signals);
        Assert.Equal(0x50, _apic.Acknowledge());
    }

    [Fact]
    public void A_nested_interrupt_takes_the_offer_back()
    {
        _apic.Deliver(0x51, false);
        _apic.Acknowledge();
        _apic.Deliver(0x61, false);
        Assert.Equal(0x61, _apic.Acknowledge());
        Assert.Equal(0, Bit);
        _apic.WriteMmio(0xb0, 4, 0);
        _apic.WriteMmio(0xb0, 4, 0);
        Assert.Equal(0UL, _apic.ReadMmio(0xa0, 4));
    }

    [Fact]
    public void Level_interrupts_and_waiting_ones_are_ended_by_register()
    {
        var ended = new List<byte>();
        _bench.Bus.LevelInterruptEnded = ended.Add;
        _apic.Deliver(0x51, true);
        _apic.Acknowledge();
        Assert.Equal(0, Bit);
        _apic.WriteMmio(0xb0, 4, 0);
        Assert.Equal([0x51], ended);

        _apic.Deliver(0x61, false);
        _apic.Deliver(0x51, false);
        Assert.Equal(0x61, _apic.Acknowledge());
        Assert.Equal(0, Bit);
    }

    [Fact]
    public void A_register_write_ends_the_interrupt_once_even_with_the_bit_set()
    {
        _apic.Deliver(0x51, false);
        _apic.Acknowledge();
        _apic.WriteMmio(0xb0, 4, 0);
        Assert.Equal(0, Bit);
        Assert.Equal(0UL, _apic.ReadMmio(0xa0, 4));
        Assert.Equal(0, _apic.ParavirtualEnds);
    }

    [Fact]
    public void Settling_leaves_everything_in_the_registers()
    {
        _apic.Deliver(0x51, false);
        _apic.Acknowledge();
        _apic.Settle();
        Assert.Equal(0, Bit);
        Assert.Equal(0x50UL, _apic.ReadMmio(0xa0, 4));

        _apic.WriteMmio(0xb0, 4, 0);
        _apic.Deliver(0x51, false);
        _apic.Acknowledge();
        Bit = 0;
        _apic.Settle();
        Assert.Equal(0UL, _apic.ReadMmio(0xa0, 4));
    }

    [Fact]
    public void An_address_outside_memory_is_never_offered_at()
    {
        _apic.OfferEndOfInterrupt(_memory, new GuestPhysicalAddress(ulong.MaxValue - 3));
        _apic.Deliver(0x51, false);
        Assert.Equal(0x51, _apic.Acknowledge());
        Assert.Equal(0x50UL, _apic.ReadMmio(0xa0, 4));
        _apic.WriteMmio(0xb0, 4, 0);
        Assert.Equal(0UL, _apic.ReadMmio(0xa0, 4));
    }
}
