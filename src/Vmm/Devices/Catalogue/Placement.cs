namespace WebVm.Vmm.Devices.Catalogue;

/// <summary>Where devices of a kind may be: on what, and where first.</summary>
/// <param name="Connection">How they are connected.</param>
/// <param name="Preferred">Places to try first for one that does not say where it is.</param>
public sealed record Placement(Connection Connection, params IReadOnlyList<ulong> Preferred)
{
    /// <summary>In the order in which they are tried.</summary>
    public IEnumerable<ulong> Places => Preferred.Concat(Connection.Places.Except(Preferred));
}
