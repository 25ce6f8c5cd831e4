namespace WebVm.Vmm.Devices.Framework;

/// <summary>A number that a device counts since power-on.</summary>
/// <param name="Name">What is counted, in camel case: "bytesReceived".</param>
public readonly record struct DeviceMetric(string Name, long Value);

/// <summary>A device that counts what it does. Asked from any thread, while the guest runs.</summary>
public interface IMeasured
{
    IReadOnlyList<DeviceMetric> Metrics { get; }
}
