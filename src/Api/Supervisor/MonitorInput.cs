namespace WebVm.Api.Supervisor;

/// <summary>What a monitor is started with: it is handed descriptors, under the names that its arguments and its spec speak of, and learns no path.</summary>
/// <param name="Kvm">Whether /dev/kvm is among them.</param>
internal sealed record MonitorInput(IReadOnlyList<string> Arguments, IReadOnlyList<(string Name, string Path)> Files, bool Kvm);
