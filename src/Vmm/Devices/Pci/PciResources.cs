namespace WebVm.Vmm.Devices.Pci;

/// <summary>
/// Numbers the buses, gives every BAR and every window of a bridge a place and switches decoding on, as firmware does at power-on: a kernel
/// that is booted directly finds its early framebuffer working, and keeps these places.
/// </summary>
public static class PciResources
{
    /// <summary>Registers that share a page with nothing else can be moved, protected and backed by memory independently.</summary>
    private const ulong MemoryGranularity = 4096;

    /// <summary>Of a bridge's windows (PCI Express Base 5.0 §7.5.1.3).</summary>
    private const ulong IoWindowGranularity = 1 << 12;
    private const ulong MemoryWindowGranularity = 1 << 20;

    /// <summary>
    /// What a port with hot-plug has at least, for what is plugged in later: it cannot be moved to where there is more room.
    /// </summary>
    private const ulong HotPlugMemory = 2 << 20;
    private const ulong HotPlugPrefetchable = 1 << 30;

    private enum Space
    {
        Io,
        Memory,

        /// <summary>Memory that is prefetchable and may lie above 4 GiB: what bridges have a window of its own for.</summary>
        Prefetchable,
    }

    /// <summary>Assigns all, largest first. Call after power-up and after every reset, with the devices stopped.</summary>
    /// <exception cref="InvalidOperationException">The windows are too small for what is on the buses, or there are too many
    /// buses.</exception>
    public static void Assign(PciBus bus)
    {
        var map = bus.Wiring.Windows.Map;
        int next = bus.Number + 1;
        Number(bus, ref next, map.Ecam?.Buses ?? PlatformMap.MaximumBuses);
        var io = new Window(PlatformMap.PciIoBase, PlatformMap.PciIoEnd + 1UL);
        Window[] memory32 = [.. map.Windows32.Select(window => new Window(window.First, window.End))];
        // What lies above RAM is left to RAM that may be added.
        var memory64 = new Window(Math.Max(map.Memory64.First, PlatformMap.HighPci), map.Memory64.End);
        foreach (var want in Wants(bus))
        {
            ulong address = 0;
            bool placed = want.Space == Space.Io
                ? io.TryTake(want, out address)
                : (want.TryLow && TryTake(memory32, want, out address)) || (want.MayBeHigh && memory64.TryTake(want, out address));
            if (!placed)
            {
                throw new InvalidOperationException($"There is no room for {want.What}: {want.Size} bytes.");
            }

            want.Give(address);
        }

        Enable(bus);
    }

    private static bool TryTake(Window[] windows, Want want, out ulong address)
    {
        address = 0;
        foreach (var window in windows)
        {
            if (window.TryTake(want, out address))
            {
                return true;
            }
        }

        return false;
    }

    private static void Number(PciBus bus, ref int next, int buses)
    {
        foreach (var (_, function) in bus.Functions)
        {
            if (function.Bridge is { } bridge)
            {
                if (next >= buses)
                {
                    throw new InvalidOperationException("There are more PCI buses than numbers for them.");
                }

                byte secondary = (byte)next++;
                bridge.SetNumbers(bus.Number, secondary, secondary);
                Number(bridge.SecondaryBus, ref next, buses);
                bridge.SetNumbers(bus.Number, secondary, (byte)(next - 1));
            }
        }
    }

    /// <summary>What the functions of a bus want of its addresses, largest first.</summary>
    private static List<Want> Wants(PciBus bus)
    {
        var wants = new List<Want>();
        foreach (var (slot, function) in bus.Functions)
        {
            for (int index = 0; index < function.Bars.Count; index++)
            {
                if (function.Bars[index] is { } bar)
                {
                    wants.Add(Want.Of(slot, function, index, bar));
                }
            }

            if (function.Bridge is { } bridge)
            {
                wants.AddRange(Windows(slot, bridge));
            }
        }

        return [.. wants.OrderByDescending(want => want.Size)];
    }

    /// <summary>A bridge's windows, for what is behind it.</summary>
    private static IEnumerable<Want> Windows(PciSlot slot, PciBridge bridge)
    {
        var behind = Wants(bridge.SecondaryBus);
        bool more = bridge.HasHotPlug;
        return new[]
        {
            OneOf(Space.Io, IoWindowGranularity, 0, bridge.SetIoWindow),
            OneOf(Space.Memory, MemoryWindowGranularity, more ? HotPlugMemory : 0, bridge.SetMemoryWindow),
            OneOf(Space.Prefetchable, MemoryWindowGranularity, more ? HotPlugPrefetchable : 0, bridge.SetPrefetchableWindow),
        }.OfType<Want>();

        Want? OneOf(Space space, ulong granularity, ulong least, Action<ulong, ulong> open)
        {
            Want[] inside = [.. behind.Where(want => want.Space == space)];
            ulong alignment = inside.Select(want => want.Alignment).Append(granularity).Max();
            ulong size = Math.Max(Window.RoundUp(Lay(inside, 0, place: false), granularity), least);
            if (size == 0)
            {
                open(0, 0);
                return null;
            }

            bool high = space == Space.Prefetchable;
            return new Want(space, size, alignment, $"the windows of PCI bridge {slot}", TryLow: !high, MayBeHigh: high, address =>
            {
                open(address, size);
                Lay(inside, address, place: true);
            });
        }
    }

    /// <summary>Puts one after the other.</summary>
    /// <returns>Where they end.</returns>
    private static ulong Lay(Want[] wants, ulong address, bool place)
    {
        var window = new Window(address, ulong.MaxValue);
        foreach (var want in wants)
        {
            if (window.TryTake(want, out ulong at) && place)
            {
                want.Give(at);
            }
        }

        return window.Next;
    }

    private static void Enable(PciBus bus)
    {
        foreach (var (slot, function) in bus.Functions.ToArray())
        {
            if (function.Identity.InterruptPin is > 0 and var pin)
            {
                function.WriteConfig(PciRegister.InterruptLine, 1, (uint)bus.GsiOf(slot, pin));
            }

            function.EnableDecoding();
            if (function.Bridge is { } bridge)
            {
                Enable(bridge.SecondaryBus);
            }
        }
    }

    /// <param name="TryLow">Below 4 GiB first.</param>
    /// <param name="MayBeHigh">Above 4 GiB, on the root's bus.</param>
    private sealed record Want(Space Space, ulong Size, ulong Alignment, string What, bool TryLow, bool MayBeHigh, Action<ulong> Give)
    {
        public static Want Of(PciSlot slot, PciFunction function, int index, PciBar bar) => new(
            bar.Kind == PciBarKind.Io
                ? Space.Io
                : bar is { Kind: PciBarKind.Memory64, Prefetchable: true } ? Space.Prefetchable : Space.Memory,
            bar.Size,
            bar.Kind == PciBarKind.Io ? bar.Size : Math.Max(bar.Size, MemoryGranularity),
            $"BAR {index} of PCI function {slot}",
            TryLow: true,
            MayBeHigh: bar.Kind == PciBarKind.Memory64,
            address => function.PlaceBar(index, address));
    }

    private sealed class Window(ulong next, ulong end)
    {
        public ulong Next { get; private set; } = next;

        public static ulong RoundUp(ulong value, ulong alignment) => (value + alignment - 1) & ~(alignment - 1);

        public bool TryTake(Want want, out ulong address)
        {
            address = RoundUp(Next, want.Alignment);
            if (address >= end || want.Size > end - address)
            {
                return false;
            }

            Next = address + want.Size;
            return true;
        }
    }
}
