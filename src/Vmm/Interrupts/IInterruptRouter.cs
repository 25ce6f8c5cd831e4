namespace WebVm.Vmm.Interrupts;

/// <summary>Where devices send interrupts: KVM's in-kernel controllers or the models of the soft engine.</summary>
public interface IInterruptRouter
{
    /// <summary>
    /// Drives one global system interrupt (ACPI 6.5 §5.2.13): 0-23 are the I/O APIC's pins, and 0-15 the PICs' as well. Called
    /// by <see cref="InterruptLine"/> alone, which combines the devices that share a line.
    /// </summary>
    void SetLine(int gsi, bool asserted);

    /// <summary>Delivers a message signalled interrupt (SDM Vol. 3A §11.11).</summary>
    void SendMsi(MsiMessage message);
}

/// <summary>A write to the interrupt message window (SDM Vol. 3A §11.11).</summary>
/// <param name="Address">0xfee00000-0xfeefffff: destination id, redirection hint, destination mode.</param>
/// <param name="Data">Vector, delivery mode, trigger mode.</param>
/// <param name="Requester">PCI bus/device/function that sent it, for interrupt remapping.</param>
public readonly record struct MsiMessage(ulong Address, uint Data, ushort Requester = 0);
