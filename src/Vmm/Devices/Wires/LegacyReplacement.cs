namespace WebVm.Vmm.Devices.Wires;

/// <summary>Whether an HPET has taken the interrupts of PIT and RTC (IA-PC HPET 1.0a §2.3.5, LEG_RT_CNF), which are cut off then.</summary>
public sealed class LegacyReplacement
{
    /// <summary>They were taken (true) or given back. Raised with the HPET locked.</summary>
    public event Action<bool>? Changed;

    public void Set(bool replaced) => Changed?.Invoke(replaced);
}
