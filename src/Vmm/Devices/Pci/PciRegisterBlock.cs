namespace WebVm.Vmm.Devices.Pci;

/// <summary>
/// Registers of a function's configuration space that have a meaning of their own. The function calls it, with its register lock held but
/// where another is said.
/// </summary>
internal abstract class PciRegisterBlock
{
    /// <summary>The function's registers.</summary>
    protected PciConfigSpace Config { get; private set; } = null!;

    /// <summary>The function's register lock.</summary>
    protected Lock Registers { get; private set; } = null!;

    public virtual void AddTo(PciConfigSpace config, Lock registers)
    {
        Config = config;
        Registers = registers;
        Define();
    }

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
