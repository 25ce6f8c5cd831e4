namespace WebVm.Vmm.Devices.Wires;

/// <summary>
/// Where the chipset lets RAM below 4 GiB end at power-on, which the clock's battery-backed memory tells firmware (PCs' firmware keeps the
/// sizes of memory there).
/// </summary>
public sealed class InstalledMemory
{
    /// <summary>It is another address than <see cref="LowEnd"/> was before.</summary>
    public event Action? Changed;

    /// <summary>Guest-physical address.</summary>
    public ulong LowEnd { get; private set; } = PlatformMap.DirectLowMemoryEnd;

    /// <summary>While the machine is put together.</summary>
    public void Set(ulong lowEnd)
    {
        LowEnd = lowEnd;
        Changed?.Invoke();
    }
}
