namespace WebVm.Api.Runs;

/// <summary>
/// What a monitor is started with: it is handed descriptors, under the names that its arguments and its spec speak of, and learns no path.
/// </summary>
/// <param name="Kvm">Whether /dev/kvm is among them.</param>
/// <param name="LargestFile">Bytes of the largest file that it has to make or write: its guest's memory in one piece, or a picture.</param>
internal sealed record MonitorInput(
    IReadOnlyList<string> Arguments, IReadOnlyList<(string Name, string Path)> Files, bool Kvm, long LargestFile);
