using WebVm.Vmm.Interrupts;
using Xunit;

namespace WebVm.Vmm.Tests.Interrupts;

public sealed class PicPairTests
{
    private readonly List<bool> _outputs = [];
    private readonly PicPair _pics;

    public PicPairTests() => _pics = Initialize(new PicPair(_outputs.Add));

    private bool Output => _outputs.Count > 0 && _outputs[^1];

    [Fact]
    public void An_edge_is_served_once_and_ended_by_command()
    {
        _pics.SetLine(4, true);
        Assert.True(Output);
        Assert.Equal(0x34, _pics.Acknowledge());
        Assert.False(Output);
        Assert.Equal(-1, _pics.Acknowledge());
        Assert.Equal(0x10, InService(false));

        _pics.Write(false, 0, 0x20);
        Assert.Equal(0, InService(false));
        Assert.Equal(-1, _pics.Acknowledge());
        _pics.SetLine(4, false);
        _pics.SetLine(4, true);
        Assert.Equal(0x34, _pics.Acknowledge());
    }

    [Fact]
    public void The_secondary_chip_interrupts_through_the_cascade()
    {
        _pics.SetLine(12, true);
        Assert.Equal(0x3c, _pics.Acknowledge());
        Assert.Equal(0x04, InService(false));
        Assert.Equal(0x10, InService(true));

        // A lower secondary pin has to wait, a higher one only until the primary's pin 2 is ended.
        _pics.SetLine(8, true);
        Assert.Equal(-1, _pics.Acknowledge());
        _pics.Write(true, 0, 0x20);
        _pics.Write(false, 0, 0x20);
        Assert.Equal(0x38, _pics.Acknowledge());
    }

    [Fact]
    public void Lower_pins_win_and_masked_pins_wait()
    {
        _pics.Write(false, 1, 0x02);
        _pics.SetLine(1, true);
        Assert.False(Output);
        _pics.SetLine(6, true);
        _pics.SetLine(3, true);
        Assert.Equal(0x33, _pics.Acknowledge());
        _pics.Write(false, 0, 0x20);
        Assert.Equal(0x36, _pics.Acknowledge());
        _pics.Write(false, 0, 0x20);
        _pics.Write(false, 1, 0x00);
        Assert.Equal(0x31, _pics.Acknowledge());
    }

    [Fact]
    public void A_level_pin_asks_again_until_it_is_released()
    {
        _pics.WriteTrigger(true, 0xff);
        Assert.Equal(0xde, _pics.ReadTrigger(true));
        _pics.WriteTrigger(false, 0xff);
        Assert.Equal(0xf8, _pics.ReadTrigger(false));

        _pics.SetLine(11, true);
        Assert.Equal(0x3b, _pics.Acknowledge());
        EndBoth();
        Assert.Equal(0x3b, _pics.Acknowledge());
        _pics.SetLine(11, false);
        EndBoth();
        Assert.Equal(-1, _pics.Acknowledge());
    }

    [Fact]
    public void Rotation_gives_the_served_pin_the_lowest_priority()
    {
        _pics.SetLine(3, true);
        Assert.Equal(0x33, _pics.Acknowledge());
        _pics.Write(false, 0, 0xa0);
        _pics.SetLine(3, false);
        _pics.SetLine(3, true);
        _pics.SetLine(6, true);
        Assert.Equal(0x36, _pics.Acknowledge());
        _pics.Write(false, 0, 0x66);
        Assert.Equal(0x33, _pics.Acknowledge());
    }

    [Fact]
    public void Automatic_end_of_interrupt_leaves_nothing_in_service()
    {
        _pics.Write(false, 0, 0x11);
        _pics.Write(false, 1, 0x20);
        _pics.Write(false, 1, 0x04);
        _pics.Write(false, 1, 0x03);
        _pics.SetLine(5, true);
        Assert.Equal(0x25, _pics.Acknowledge());
        Assert.Equal(0, InService(false));
    }

    [Fact]
    public void Poll_answers_with_the_pin_and_acknowledges()
    {
        _pics.SetLine(7, true);
        _pics.Write(false, 0, 0x0c);
        Assert.Equal(0x87, _pics.Read(false, 0));
        Assert.Equal(0x80, InService(false));
        _pics.Write(false, 0, 0x0c);
        Assert.Equal(0x00, _pics.Read(false, 0));
    }

    [Fact]
    public void Initialization_forgets_edges_and_keeps_levels()
    {
        _pics.WriteTrigger(false, 0x20);
        _pics.SetLine(3, true);
        _pics.SetLine(5, true);

        Initialize(_pics);

        Assert.Equal(0x35, _pics.Acknowledge());
        _pics.Write(false, 0, 0x20);
        _pics.SetLine(5, false);
        Assert.Equal(-1, _pics.Acknowledge());
    }

    [Fact]
    public void Special_mask_mode_lets_lower_priorities_in()
    {
        _pics.SetLine(1, true);
        Assert.Equal(0x31, _pics.Acknowledge());
        _pics.SetLine(6, true);
        Assert.Equal(-1, _pics.Acknowledge());
        _pics.Write(false, 0, 0x68);
        _pics.Write(false, 1, 0x02);
        Assert.Equal(0x36, _pics.Acknowledge());
    }

    private static PicPair Initialize(PicPair pics)
    {
        foreach (bool secondary in (bool[])[false, true])
        {
            pics.Write(secondary, 0, 0x11);
            pics.Write(secondary, 1, secondary ? (byte)0x38 : (byte)0x30);
            pics.Write(secondary, 1, secondary ? (byte)0x02 : (byte)0x04);
            pics.Write(secondary, 1, 0x01);
        }

        return pics;
    }

    private byte InService(bool secondary)
    {
        _pics.Write(secondary, 0, 0x0b);
        return _pics.Read(secondary, 0);
    }

    private void EndBoth()
    {
        _pics.Write(true, 0, 0x20);
        _pics.Write(false, 0, 0x20);
    }
}
