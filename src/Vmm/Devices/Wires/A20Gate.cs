namespace WebVm.Vmm.Devices.Wires;

/// <summary>
/// The A20 line's enable as two devices show it: the keyboard controller's output port, bit 1, and system control port A, bit 1. The
/// address line itself is always on, as on processors without the A20M# pin (SDM Vol. 3B §20.17.7), so this is what the guest last asked
/// for.
/// </summary>
public sealed class A20Gate
{
    private volatile bool _enabled = true;

    public bool Enabled
    {
        get => _enabled;
        set => _enabled = value;
    }
}
