namespace WebVm.Vmm.Devices.Pci;

/// <summary>
/// Gives every BAR of a bus a place and switches decoding on, as firmware does at power-on: a kernel that is booted directly finds its
/// early framebuffer working, and keeps these places.
/// </summary>
public static class PciResources
{
    /// <summary>Registers that share a page with nothing else can be moved, protected and backed by memory independently.</summary>
    private const ulong MemoryGranularity = 4096;

    /// <summary>Assigns all BARs, largest first. Call after power-up and after every reset, with the devices stopped.</summary>
    /// <exception cref="InvalidOperationException">The windows are too small for what is on the bus.</exception>
    public static void Assign(PciBus bus)
    {
        var io = new Window(PlatformMap.PciIoBase, PlatformMap.PciIoEnd + 1UL);
        var memory32 = new Window(PlatformMap.PciMemory32, PlatformMap.PciMemory32End);
        var memory64 = new Window(PlatformMap.PciMemory64, PlatformMap.PciMemory64End);
        var bars = from entry in bus.Functions
                   from index in Enumerable.Range(0, entry.Function.Bars.Count)
                   where entry.Function.Bars[index] is not null
                   let bar = entry.Function.Bars[index]!
                   orderby bar.Size descending
                   select (entry.Slot, entry.Function, Index: index, Bar: bar);
        foreach (var (slot, function, index, bar) in bars.ToArray())
        {
            bool placed = bar.Kind == PciBarKind.Io
                ? io.TryTake(bar.Size, bar.Size, out ulong address)
                : memory32.TryTake(bar.Size, Math.Max(bar.Size, MemoryGranularity), out address)
                    || (bar.Kind == PciBarKind.Memory64 && memory64.TryTake(bar.Size, Math.Max(bar.Size, MemoryGranularity), out address));
            if (!placed)
            {
                throw new InvalidOperationException($"There is no room for BAR {index} of PCI function {slot}: {bar.Size} bytes.");
            }

            function.PlaceBar(index, address);
        }

        foreach (var (slot, function) in bus.Functions.ToArray())
        {
            if (function.Identity.InterruptPin is > 0 and var pin)
            {
                function.WriteConfig(PciRegister.InterruptLine, 1, (uint)PciInterrupts.GsiOf(slot, pin));
            }

            function.EnableDecoding();
        }
    }

    private sealed class Window(ulong next, ulong end)
    {
        private ulong _next = next;

        public bool TryTake(ulong size, ulong alignment, out ulong address)
        {
            address = (_next + alignment - 1) & ~(alignment - 1);
            if (address >= end || size > end - address)
            {
                return false;
            }

            _next = address + size;
            return true;
        }
    }
}
