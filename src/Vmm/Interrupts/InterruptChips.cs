namespace WebVm.Vmm.Interrupts;

/// <summary>The chips of an engine whose registers the machine's bus shows to the guest.</summary>
public sealed record InterruptChips(PicPair Pics, Pit Pit, IoApic IoApic);
