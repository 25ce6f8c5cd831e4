namespace WebVm.Vmm.Devices.Catalogue;

/// <summary>What devices may want to know of their machine.</summary>
/// <param name="LowMemory">Bytes of RAM below 4 GiB.</param>
/// <param name="HighMemory">Bytes of RAM from 4 GiB on.</param>
public sealed record MachineFacts(ulong LowMemory, ulong HighMemory);
