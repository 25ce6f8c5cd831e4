namespace WebVm.Vmm.Devices.Framework;

/// <summary>A device that firmware tells operating systems of.</summary>
public interface IFirmwareVisible
{
    /// <summary>Adds what the tables say about the device. The same at every call.</summary>
    void Describe(FirmwareDescription firmware);
}

/// <summary>
/// A device that firmware sets up at power-on and at every reset, before it starts anything. In the order in which devices start.
/// </summary>
public interface IFirmwareSetUp
{
    void SetUp();
}
