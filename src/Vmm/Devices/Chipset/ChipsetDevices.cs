using WebVm.Vmm.Devices.Framework;
using WebVm.Vmm.Interrupts;
using WebVm.Vmm.Time;

namespace WebVm.Vmm.Devices.Chipset;

/// <summary>The timers and interrupt controllers of a PC as devices, as far as the engine leaves them to user space.</summary>
public static class ChipsetDevices
{
    /// <param name="router">The engine's: the soft engine's controllers and PIT get their ports here, KVM has its own in the kernel.</param>
    /// <param name="lines">The interrupt lines by GSI.</param>
    /// <param name="lowMemory">Bytes of RAM below 4 GiB.</param>
    /// <param name="highMemory">Bytes of RAM above 4 GiB.</param>
    public static void Add(
        DeviceTree tree, IInterruptRouter router, IReadOnlyList<InterruptLine> lines, ITimerService timers, ulong lowMemory, ulong highMemory, bool hpet)
    {
        var soft = router as SoftInterruptRouter;
        if (soft is not null)
        {
            tree.Add(new IoApicWindow(soft.IoApic));
            tree.Add(new PicPorts(soft.Pics));
            tree.Add(new PitPorts(soft.Pit));
        }

        var clock = new RealTimeClock(timers, lines[PlatformMap.RtcGsi], lowMemory, highMemory);
        tree.Add(clock);
        if (hpet)
        {
            tree.Add(new Hpet(timers, gsi => lines[gsi], replaced =>
            {
                // Under KVM the PIT stays connected; a guest that uses the HPET for its ticks has stopped the PIT.
                clock.Disconnected = replaced;
                if (soft is not null)
                {
                    soft.Pit.Disconnected = replaced;
                }
            }));
        }
    }
}
