using WebVm.Vmm.Interrupts;
using Xunit;

namespace WebVm.Vmm.Tests.Interrupts;

public sealed class IoApicTests
{
    private const ulong Level = 1 << 15;
    private const ulong Masked = 1 << 16;
    private const ulong RemoteIrr = 1 << 14;

    private readonly List<ApicMessage> _sent = [];
    private readonly IoApic _chip;
    private bool _accepted = true;

    public IoApicTests() => _chip = new IoApic(message =>
    {
        _sent.Add(message);
        return _accepted;
    });

    [Fact]
    public void Registers_are_the_data_sheets()
    {
        Assert.Equal(0x0017_0011u, Read(1));
        for (int pin = 0; pin < 24; pin++)
        {
            Assert.Equal(Masked, Entry(pin));
        }

        WriteRegister(0, 0xff00_0000);
        Assert.Equal(0x0f00_0000u, Read(0));
        SetEntry(5, ulong.MaxValue & ~RemoteIrr);
        Assert.Equal(0xff00_0000_0001_afffUL, Entry(5));
        Assert.Equal(0u, Read(0x40));
        Assert.Equal(0u, Read(0xff));
    }

    [Fact]
    public void An_entry_becomes_the_message_it_describes()
    {
        SetEntry(3, 0x0500_0000_0000_0931);
        _chip.SetLine(3, true);
        SetEntry(4, 0xff00_0000_0000_0032);
        _chip.SetLine(4, true);

        Assert.Equal(
            [
                new ApicMessage(5, true, ApicDeliveryMode.LowestPriority, 0x31, false),
                new ApicMessage(ApicMessage.Broadcast, false, ApicDeliveryMode.Fixed, 0x32, false),
            ],
            _sent);
    }

    [Fact]
    public void An_edge_is_sent_once_per_rise_and_lost_while_masked()
    {
        SetEntry(3, 0x31);
        _chip.SetLine(3, true);
        _chip.SetLine(3, true);
        _chip.SetLine(3, false);
        _chip.SetLine(3, true);
        Assert.Equal(2, _sent.Count);

        SetEntry(3, 0x31 | Masked);
        _chip.SetLine(3, false);
        _chip.SetLine(3, true);
        SetEntry(3, 0x31);
        Assert.Equal(2, _sent.Count);
    }

    [Fact]
    public void A_level_waits_for_its_end_and_asks_again_while_asserted()
    {
        SetEntry(17, 0x41 | Level);
        _chip.SetLine(17, true);
        _chip.SetLine(17, true);
        Assert.Single(_sent);
        Assert.Equal(0x41 | Level | RemoteIrr, Entry(17));

        _chip.EndOfInterrupt(0x42);
        Assert.Single(_sent);
        _chip.EndOfInterrupt(0x41);
        Assert.Equal(2, _sent.Count);
        _chip.SetLine(17, false);
        _chip.EndOfInterrupt(0x41);
        Assert.Equal(2, _sent.Count);
        Assert.Equal(0x41 | Level, Entry(17));
    }

    [Fact]
    public void A_masked_level_is_sent_when_unmasked()
    {
        SetEntry(17, 0x41 | Level | Masked);
        _chip.SetLine(17, true);
        Assert.Empty(_sent);
        SetEntry(17, 0x41 | Level);
        Assert.Single(_sent);
    }

    [Fact]
    public void A_level_nobody_accepts_leaves_no_remote_irr()
    {
        _accepted = false;
        SetEntry(17, 0x41 | Level);
        _chip.SetLine(17, true);
        Assert.Equal(0x41 | Level, Entry(17));
    }

    [Fact]
    public void Switching_to_edge_clears_a_stuck_remote_irr()
    {
        SetEntry(17, 0x41 | Level);
        _chip.SetLine(17, true);
        _chip.SetLine(17, false);
        SetEntry(17, 0x41 | Masked);
        SetEntry(17, 0x41 | Level | Masked);
        Assert.Equal(0x41 | Level | Masked, Entry(17));
    }

    [Fact]
    public void Remote_irr_cannot_be_written()
    {
        SetEntry(17, 0x41 | Level | Masked | RemoteIrr | (1 << 12));
        Assert.Equal(0x41 | Level | Masked, Entry(17));
    }

    private uint Read(byte index)
    {
        _chip.Write(0, 4, index);
        return (uint)_chip.Read(0x10, 4);
    }

    private void WriteRegister(byte index, uint value)
    {
        _chip.Write(0, 4, index);
        _chip.Write(0x10, 4, value);
    }

    private ulong Entry(int pin) => Read((byte)(0x10 + (2 * pin))) | ((ulong)Read((byte)(0x11 + (2 * pin))) << 32);

    private void SetEntry(int pin, ulong value)
    {
        WriteRegister((byte)(0x11 + (2 * pin)), (uint)(value >> 32));
        WriteRegister((byte)(0x10 + (2 * pin)), (uint)value);
    }
}
