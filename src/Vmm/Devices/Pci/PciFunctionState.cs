namespace WebVm.Vmm.Devices.Pci;

/// <summary>Saved state of a function's PCI side; part of its device's state.</summary>
/// <param name="Config">The configuration space, 256 or 4096 bytes.</param>
/// <param name="InterruptPending">The device asserts its INTx#.</param>
/// <param name="MsiPending">Pending bits of MSI.</param>
/// <param name="MsiX">MSI-X table and pending bits, or null for a function without.</param>
public sealed record PciFunctionState(byte[] Config, bool InterruptPending, uint MsiPending, MsiXState? MsiX);
