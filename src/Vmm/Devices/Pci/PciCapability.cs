namespace WebVm.Vmm.Devices.Pci;

/// <summary>
/// One structure of a function's capability list (PCI Local Bus 3.0 §6.7). The function gives it its offset when it is added.
/// </summary>
/// <param name="length">Bytes, the two of the list's own included.</param>
internal abstract class PciCapability(byte id, int length) : PciRegisterBlock
{
    public byte Id { get; } = id;

    /// <summary>Where in the configuration space it begins, once it is added.</summary>
    public int Offset { get; private set; }

    public override void AddTo(PciConfigSpace config, Lock registers)
    {
        Offset = config.AddCapability(Id, length);
        base.AddTo(config, registers);
    }

    public bool Covers(int offset, int size) => offset < Offset + length && Offset < offset + size;

    /// <summary>Whether an access reaches one of the capability's registers.</summary>
    /// <param name="register">From the capability's beginning.</param>
    protected bool Covers(int offset, int size, int register, int width) =>
        offset < Offset + register + width && Offset + register < offset + size;
}
