using WebVm.Vmm.Firmware.Acpi;
using WebVm.Vmm.Firmware.Boot;
using WebVm.Vmm.Memory;

namespace WebVm.Vmm.Firmware;

/// <summary>
/// Power-on without firmware code in the guest: writes the tables that firmware would leave in memory and a kernel, ready to run. Used
/// at every start and again at every reset.
/// </summary>
public static class DirectBoot
{
    /// <summary>Where the ACPI root pointer lies: the first place of the system ROM segment (ACPI 6.5 §5.2.5.1).</summary>
    public const ulong AcpiRootPointer = MemoryMap.SystemRom;

    /// <param name="memory">With its RAM mapped at 0, and at <see cref="Devices.PlatformMap.HighMemory"/> if there is more.</param>
    /// <exception cref="BootException">A file is not bootable, broken, or does not fit the machine.</exception>
    /// <exception cref="ArgumentException">The description contradicts itself.</exception>
    public static BootPlan Prepare(GuestMemory memory, PlatformDescription platform, BootSource source, LinearFramebuffer? framebuffer = null)
    {
        var tables = AcpiTableSet.Create(platform);
        ulong ramEnd = MemoryMap.Of(memory, []).LowRamEnd.Value;
        ulong size = (ulong)tables.Size;
        if (ramEnd < MemoryMap.ExtendedMemory + size)
        {
            throw new BootException(source.Kernel.Name, $"the machine's RAM ends at 0x{ramEnd:x}: too little to boot anything");
        }

        var block = new GuestPhysicalAddress(ramEnd - size);
        var map = MemoryMap.Of(memory,
        [
            new MemoryMapEntry(block, AcpiTableSet.SharedSize, MemoryMapType.AcpiNvs),
            new MemoryMapEntry(block + AcpiTableSet.SharedSize, size - AcpiTableSet.SharedSize, MemoryMapType.AcpiReclaimable),
        ]);
        Write(memory, block, tables.Build(block));
        Write(memory, new(AcpiRootPointer), tables.BuildRootPointer(block));
        return BootLoader.Load(source, memory, map, new BootSurroundings
        {
            AcpiRootPointer = new(AcpiRootPointer),
            Framebuffer = framebuffer,
        });
    }

    private static void Write(GuestMemory memory, GuestPhysicalAddress address, byte[] contents)
    {
        if (!memory.TryWrite(address, contents))
        {
            throw new ArgumentException($"The machine has no memory at {address} for firmware tables.", nameof(memory));
        }
    }
}
