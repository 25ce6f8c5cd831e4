namespace WebVm.Vmm.Devices.Framework;

/// <summary>Sorts devices so that each comes after those it depends on, and otherwise in the order in which they were added.</summary>
internal static class DependencyOrder
{
    public static DeviceNode[] Sort(IReadOnlyList<DeviceNode> nodes)
    {
        var byName = nodes.ToDictionary(node => node.Name);
        foreach (var node in nodes)
        {
            if (node.DependsOn.FirstOrDefault(name => !byName.ContainsKey(name)) is { } missing)
            {
                throw new InvalidOperationException($"Device '{node.Name}' depends on device '{missing}', which does not exist.");
            }
        }

        var placed = new HashSet<string>();
        var order = new List<DeviceNode>(nodes.Count);
        var waiting = nodes.ToList();
        while (waiting.Count > 0)
        {
            if (waiting.Find(node => node.DependsOn.All(placed.Contains)) is not { } next)
            {
                throw new InvalidOperationException(
                    $"These devices depend on each other in a cycle: {string.Join(", ", waiting.Select(node => node.Name))}.");
            }

            waiting.Remove(next);
            placed.Add(next.Name);
            order.Add(next);
        }

        return [.. order];
    }
}
