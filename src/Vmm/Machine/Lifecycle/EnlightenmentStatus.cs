using WebVm.Vmm.Cpu;

namespace WebVm.Vmm.Machine.Lifecycle;

/// <summary>How a machine and its guest stand to one paravirtual interface.</summary>
/// <param name="Vcpus">Indexes of the vCPUs that take it; null where guests take it without telling.</param>
public sealed record EnlightenmentStatus(string Name, string Description, bool Offered, IReadOnlyList<int>? Vcpus = null)
{
    internal static unsafe IReadOnlyList<EnlightenmentStatus> Of(uint features, CpuStateBuffer states) =>
    [
        .. Enlightenment.All.Select(enlightenment => new EnlightenmentStatus(
            enlightenment.Name,
            enlightenment.Description,
            enlightenment.IsOffered(features),
            enlightenment.IsTaken is { } taken
                ? [.. Enumerable.Range(0, states.Count).Where(index => taken(in states[index]->Msr))]
                : null)),
    ];
}
