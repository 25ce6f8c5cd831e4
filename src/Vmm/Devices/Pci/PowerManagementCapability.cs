using WebVm.Vmm.Devices.Framework;

namespace WebVm.Vmm.Devices.Pci;

/// <summary>
/// The power management capability (PCI Bus Power Management Interface 1.2 §3.2; PCI Express Base 5.0 §7.5.2): D0 and D3hot, no events. The
/// function's lock protects it.
/// </summary>
/// <remarks>
/// No_Soft_Reset is set: a function that is woken is as it was. Its guest then need not restore what it has not saved, and one that was put
/// to sleep and woken without a driver (by a tool, or by a state that was saved in between) still works. Linux leaves out the restoring,
/// and does not offer D3hot as a way to reset the function, which it would not be.
/// </remarks>
internal sealed class PowerManagementCapability() : PciCapability(PciCapabilityId.PowerManagement, Length)
{
    private const int Length = 8;
    private const int Capabilities = 2;
    private const int ControlStatus = 4;

    /// <summary>Of the interface, 1.2. No D1, no D2, no PME#.</summary>
    private const ushort Version3 = 3;
    private const ushort NoSoftReset = 1 << 3;
    private const ushort PowerState = 3;
    private const ushort D0 = 0;
    private const ushort D3Hot = 3;

    public PowerLevel Level
    {
        get => (Config.Get16(Offset + ControlStatus) & PowerState) == D0 ? PowerLevel.Full : PowerLevel.Asleep;
        private set =>
            Config.Set16(
                Offset + ControlStatus, (ushort)((Config.Get16(Offset + ControlStatus) & ~PowerState)
                    | (value == PowerLevel.Full ? D0 : D3Hot)));
    }

    /// <summary>After registers were written: a state that the function does not have is no change (§3.2.4).</summary>
    /// <param name="before">The level before they were.</param>
    public void Settle(PowerLevel before)
    {
        if ((Config.Get16(Offset + ControlStatus) & PowerState) is not (D0 or D3Hot))
        {
            Level = before;
        }
    }

    protected override void Define()
    {
        Config.Define(Offset + Capabilities, 2, Version3);
        Config.Define(Offset + ControlStatus, 2, NoSoftReset, writable: PowerState);
    }
}
