namespace WebVm.Vmm.Devices.Framework;

/// <summary>How stopping the devices ended.</summary>
/// <param name="Restless">Those in which something is still in progress. What they depend on has not been stopped.</param>
/// <param name="Deadline">What they had been given.</param>
public sealed record StopOutcome(IReadOnlyList<DeviceNode> Restless, TimeSpan Deadline)
{
    public bool AtRest => Restless.Count == 0;

    public override string ToString() =>
        AtRest ? "all devices are at rest" : $"{Names} did not come to rest within {Deadline.TotalSeconds:0.###} s";

    private string Names =>
        $"{(Restless.Count == 1 ? "device" : "devices")} {string.Join(", ", Restless.Select(node => $"'{node.Name}'"))}";
}
