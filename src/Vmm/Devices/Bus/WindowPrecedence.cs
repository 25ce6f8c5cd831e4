namespace WebVm.Vmm.Devices.Bus;

/// <summary>Which of two overlapping windows answers: the lower value, then the one that was added first.</summary>
public enum WindowPrecedence
{
    /// <summary>Part of the platform. Two of these never overlap.</summary>
    Platform,

    /// <summary>Placed by the guest (a BAR), wherever it liked.</summary>
    Relocatable,
}
