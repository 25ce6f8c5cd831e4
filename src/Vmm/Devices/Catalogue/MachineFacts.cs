namespace WebVm.Vmm.Devices.Catalogue;

/// <summary>What devices may want to know of their machine.</summary>
/// <param name="Memory">Bytes of RAM.</param>
public sealed record MachineFacts(ulong Memory);
