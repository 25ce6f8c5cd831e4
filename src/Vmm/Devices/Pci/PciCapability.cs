namespace WebVm.Vmm.Devices.Pci;

/// <summary>
/// One structure of a function's capability list (PCI Local Bus 3.0 §6.7). The function gives it its offset when it is added, and calls it, with
/// its register lock held but where another is said.
/// </summary>
/// <param name="length">Bytes, the two of the list's own included.</param>
internal abstract class PciCapability(byte id, int length)
{
    public byte Id { get; } = id;

    /// <summary>Where in the configuration space it begins, once it is added.</summary>
    public int Offset { get; private set; }

    /// <summary>The function's registers.</summary>
    protected PciConfigSpace Config { get; private set; } = null!;

    /// <summary>The function's register lock.</summary>
    protected Lock Registers { get; private set; } = null!;

    public void AddTo(PciConfigSpace config, Lock registers)
    {
        Config = config;
        Registers = registers;
        Offset = config.AddCapability(Id, length);
        Define();
    }

    public bool Covers(int offset, int size) => offset < Offset + length && Offset < offset + size;

    /// <summary>Whether an access reaches one of the capability's registers.</summary>
    /// <param name="register">From the capability's beginning.</param>
    protected bool Covers(int offset, int size, int register, int width) =>
        offset < Offset + register + width && Offset + register < offset + size;

    /// <summary>Says what its registers are.</summary>
    protected abstract void Define();

    /// <summary>The registers have their power-on values.</summary>
    public virtual void Reset()
    {
    }

    /// <summary>The guest wrote registers of the function, not only these.</summary>
    public virtual void Written(int offset, int size)
    {
    }

    /// <summary>The registers have been loaded.</summary>
    public virtual void Loaded()
    {
    }

    /// <summary>After any of these, without the lock: what follows of it elsewhere.</summary>
    public virtual void Follow()
    {
    }
}
