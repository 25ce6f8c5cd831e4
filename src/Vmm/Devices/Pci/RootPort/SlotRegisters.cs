namespace WebVm.Vmm.Devices.Pci.RootPort;

/// <summary>Bits of the slot capabilities register (PCI Express Base 5.0 §7.5.3.9).</summary>
[Flags]
internal enum SlotCapabilities : uint
{
    AttentionButton = 1 << 0,
    PowerController = 1 << 1,
    AttentionIndicator = 1 << 3,
    PowerIndicator = 1 << 4,
    HotPlug = 1 << 6,
    HotPlugSlot = AttentionButton | PowerController | AttentionIndicator | PowerIndicator | HotPlug,
}

/// <summary>Bits of the slot control register (§7.5.3.10).</summary>
[Flags]
internal enum SlotControl : ushort
{
    AttentionButtonEnable = 1 << 0,
    PresenceEnable = 1 << 3,
    CommandCompletedEnable = 1 << 4,
    InterruptEnable = 1 << 5,

    /// <summary>Both bits of an indicator: off.</summary>
    AttentionIndicator = 3 << 6,
    PowerIndicator = 3 << 8,
    PowerOff = 1 << 10,
    LinkStateEnable = 1 << 12,

    PowerIndicatorOn = 1 << 8,
    PowerIndicatorBlink = 2 << 8,

    /// <summary>Those whose event has the same bit in the status register.</summary>
    EnablesAsInStatus = AttentionButtonEnable | PresenceEnable | CommandCompletedEnable,
    Writable = EnablesAsInStatus | InterruptEnable | AttentionIndicator | PowerIndicator | PowerOff | LinkStateEnable,
}

/// <summary>Bits of the slot status register (§7.5.3.11).</summary>
[Flags]
internal enum SlotStatus : ushort
{
    AttentionButtonPressed = 1 << 0,
    PresenceChanged = 1 << 3,
    CommandCompleted = 1 << 4,
    Present = 1 << 6,
    LinkStateChanged = 1 << 8,
    Clearable = AttentionButtonPressed | PresenceChanged | CommandCompleted | LinkStateChanged,
}
