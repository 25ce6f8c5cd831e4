using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Pci.RootPort;

/// <summary>
/// The PCI Express capability of a root port (PCI Express Base 5.0 §7.5.3): link, slot and root registers, and the slot's part in hot-plug
/// (§6.7). A command is complete as soon as it is written.
/// </summary>
internal sealed class RootPortCapability(PciBridge bridge, byte number, int slot)
    : PciCapability(PciCapabilityId.Express, ExpressCapability.Length)
{
    private const int SlotCapabilitiesRegister = 20;
    private const int SlotControlRegister = 24;
    private const int SlotStatusRegister = 26;
    private const int RootControl = 28;
    private const int RootStatus = 32;
    private const ushort RootPort = 4 << 4;
    private const ushort SlotImplemented = 1 << 8;
    private const uint ReportsLinkActive = 1 << 20;
    private const int PortNumberShift = 24;
    private const int SlotNumberShift = 19;

    /// <summary>ASPM, link disable, common clock, extended synch (§7.5.3.7). Retraining takes no time: the bit reads as zero.</summary>
    private const ushort LinkControlWritable = LinkDisable | 0x00c3;
    private const ushort LinkDisable = 1 << 4;
    private const ushort LinkActive = 1 << 13;

    /// <summary>What becomes a system error, and the interrupt for power management events, of which there are none (§7.5.3.12).</summary>
    private const ushort RootControlWritable = 0x000f;
    private const uint RootStatusClearable = 1 << 16;

    /// <summary>There is a device in the slot, as far as registers tell.</summary>
    private bool _occupied;
    private bool _interrupting;
    private Action<RemovalAnswer>? _asked;
    private Action? _answer;

    /// <summary>Since it was asked, the guest has begun to take the device out of use: the power indicator blinks (§6.7.1.1.2).</summary>
    private bool _guestIsAtIt;

    private bool HasHotPlug => bridge.HasHotPlug;

    private SlotControl Control => (SlotControl)Config.Get16(Offset + SlotControlRegister);

    private SlotStatus Status
    {
        get => (SlotStatus)Config.Get16(Offset + SlotStatusRegister);
        set => Config.Set16(Offset + SlotStatusRegister, (ushort)value);
    }

    private bool IsPoweredDown => HasHotPlug && (Control & SlotControl.PowerOff) != 0;

    private bool IsLetGo => (Control & SlotControl.PowerIndicator) == SlotControl.PowerIndicator && IsPoweredDown;

    protected override void Define()
    {
        Define(ExpressCapability.Capabilities, 2, (uint)(ExpressCapability.Version2 | RootPort | (HasHotPlug ? SlotImplemented : 0)));
        Define(ExpressCapability.DeviceCapabilities, 4, ExpressCapability.RoleBasedErrorReporting);
        Define(ExpressCapability.DeviceControl, 2, ExpressCapability.DeviceControlAtPowerOn, ExpressCapability.DeviceControlWritable);
        Define(ExpressCapability.DeviceStatus, 2, 0, clearable: ExpressCapability.DeviceStatusClearable);
        Define(ExpressCapability.LinkCapabilities, 4, ExpressCapability.Link | ReportsLinkActive | ((uint)number << PortNumberShift));
        Define(ExpressCapability.LinkControl, 2, 0, LinkControlWritable);
        Define(ExpressCapability.LinkStatus, 2, ExpressCapability.LinkRate);
        Define(ExpressCapability.LinkCapabilities2, 4, ExpressCapability.LinkSpeeds);
        Define(RootControl, 2, 0, RootControlWritable);
        Define(RootStatus, 4, 0, clearable: RootStatusClearable);
        if (HasHotPlug)
        {
            Define(SlotCapabilitiesRegister, 4, (uint)SlotCapabilities.HotPlugSlot | ((uint)slot << SlotNumberShift));
            Define(SlotControlRegister, 2, 0, (uint)SlotControl.Writable);
            Define(SlotStatusRegister, 2, 0, clearable: (uint)SlotStatus.Clearable);
        }
        else
        {
            // What is not in a slot is present (§7.5.3.11).
            Define(SlotStatusRegister, 2, (uint)SlotStatus.Present);
        }
    }

    /// <summary>What is in the slot at power-on has power; an empty slot has none.</summary>
    public override void Reset()
    {
        if (HasHotPlug)
        {
            var power = !bridge.SecondaryBus.IsEmpty ? SlotControl.PowerIndicatorOn : SlotControl.PowerIndicator | SlotControl.PowerOff;
            Config.Set16(Offset + SlotControlRegister, (ushort)(SlotControl.AttentionIndicator | power));
        }

        _asked = null;
        _answer = null;
        _interrupting = false;
        Latch();
    }

    public override void Loaded()
    {
        _asked = null;
        _answer = null;
        Latch();
        _interrupting = IsInterrupting();
    }

    public override void Written(int offset, int size)
    {
        if (HasHotPlug && Covers(offset, size, SlotControlRegister, 2))
        {
            Status |= SlotStatus.CommandCompleted;
            HearGuest();
        }

        UpdateLink();
    }

    public override void Follow()
    {
        bool message;
        Action? answer;
        lock (Registers)
        {
            bool interrupting = IsInterrupting();
            message = interrupting && !_interrupting;
            _interrupting = interrupting;
            bridge.Function.SetInterrupt(interrupting);
            answer = _answer;
            _answer = null;
        }

        // One message each time that there begins to be a reason (§6.7.3.4).
        if (message)
        {
            bridge.Function.Signal(0);
        }

        answer?.Invoke();
    }

    /// <summary>
    /// A device has come, or gone. Who puts one into a slot without power presses its button, so that it is switched on (§6.7.1.1.1):
    /// Linux, for one, hears of nothing else where there is a button.
    /// </summary>
    public void LookIntoSlot() => bridge.Function.Change(() =>
    {
        bool occupied = !bridge.SecondaryBus.IsEmpty;
        if (occupied != _occupied)
        {
            _occupied = occupied;
            if (HasHotPlug)
            {
                var button = occupied && IsPoweredDown ? SlotStatus.AttentionButtonPressed : 0;
                Status = (Status ^ SlotStatus.Present) | SlotStatus.PresenceChanged | button;
            }

            UpdateLink();
        }
    });

    /// <summary>Presses the attention button, unless the guest is at it already: pressed again, it would stop.</summary>
    public void Ask(Action<RemovalAnswer> answer) => bridge.Function.Change(() =>
    {
        if (IsLetGo)
        {
            _answer = () => answer(RemovalAnswer.Agreed);
            return;
        }

        if (_asked is null || !_guestIsAtIt)
        {
            _guestIsAtIt = false;
            Status |= SlotStatus.AttentionButtonPressed;
        }

        _asked = answer;
    });

    private void HearGuest()
    {
        if (_asked is not { } asked)
        {
            return;
        }

        var indicator = Control & SlotControl.PowerIndicator;
        RemovalAnswer? said = IsLetGo ? RemovalAnswer.Agreed
            : _guestIsAtIt && indicator == SlotControl.PowerIndicatorOn && !IsPoweredDown ? RemovalAnswer.Refused
            : null;
        _guestIsAtIt |= indicator == SlotControl.PowerIndicatorBlink;
        if (said is { } answer)
        {
            _asked = null;
            _answer = () => asked(answer);
        }
    }

    private bool IsInterrupting() => (Control & SlotControl.InterruptEnable) != 0
        && (((int)Control & (int)Status & (int)SlotControl.EnablesAsInStatus) != 0
            || ((Control & SlotControl.LinkStateEnable) != 0 && (Status & SlotStatus.LinkStateChanged) != 0));

    /// <summary>Takes slot and link as they are, without a word of a change.</summary>
    private void Latch()
    {
        _occupied = !bridge.SecondaryBus.IsEmpty;
        if (HasHotPlug)
        {
            Status = (Status & ~SlotStatus.Present) | (_occupied ? SlotStatus.Present : 0);
        }

        ShowLink(IsLinkUp());
    }

    private void UpdateLink()
    {
        bool up = IsLinkUp();
        if (up != bridge.LinkUp)
        {
            ShowLink(up);
            Status |= HasHotPlug ? SlotStatus.LinkStateChanged : 0;
        }
    }

    private bool IsLinkUp() => !IsPoweredDown && (Config.Get16(Offset + ExpressCapability.LinkControl) & LinkDisable) == 0
        && ((PciBridgeControl)Config.Get16(PciBridgeRegister.Control) & PciBridgeControl.SecondaryBusReset) == 0 && _occupied;

    private void ShowLink(bool up)
    {
        bridge.LinkUp = up;
        Config.Set16(Offset + ExpressCapability.LinkStatus, (ushort)(ExpressCapability.LinkRate | (up ? LinkActive : 0)));
    }

    private void Define(int register, int size, uint value, uint writable = 0, uint clearable = 0) =>
        Config.Define(Offset + register, size, value, writable, clearable);
}
