using WebVm.Vmm.Devices.Display;
using WebVm.Vmm.Firmware.Acpi;
using WebVm.Vmm.Firmware.Boot;
using WebVm.Vmm.Firmware.Description;
using WebVm.Vmm.Firmware.Smbios;
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

    /// <summary>The SMBIOS entry point follows (SMBIOS 3.6 §5.2.2: 0xf0000-0xfffff, 16-byte boundary), then its structures.</summary>
    public const ulong SmbiosEntryPoint = AcpiRootPointer + 0x40;

    private const ulong SmbiosStructures = AcpiRootPointer + 0x100;

    /// <param name="memory">With its RAM mapped at 0, and at <see cref="Devices.PlatformMap.HighMemory"/> if there is more.</param>
    /// <exception cref="BootException">A file is not bootable, broken, or does not fit the machine.</exception>
    /// <exception cref="ArgumentException">The description contradicts itself.</exception>
    public static BootPlan Prepare(
        GuestMemory memory, PlatformDescription platform, BootSource source, LinearFramebuffer? framebuffer = null)
    {
        var tables = AcpiTableSet.Create(platform);
        ulong ramEnd = MemoryMap.Of(memory, platform.Map, []).LowRamEnd.Value;
        ulong size = (ulong)tables.Size;
        if (ramEnd < MemoryMap.ExtendedMemory + size)
        {
            throw new BootException(source.Kernel.Name, $"the machine's RAM ends at 0x{ramEnd:x}: too little to boot anything");
        }

        var block = new GuestPhysicalAddress(ramEnd - size);
        var map = MemoryMap.Of(memory, platform.Map,
        [
            new MemoryMapEntry(block, AcpiTableSet.SharedSize, MemoryMapType.AcpiNvs),
            new MemoryMapEntry(block + AcpiTableSet.SharedSize, size - AcpiTableSet.SharedSize, MemoryMapType.AcpiReclaimable),
        ]);
        Write(memory, new(BiosDataArea.Address), BiosDataArea.Create(platform.DescribeDevices()));
        Write(memory, new(MemoryMap.ExtendedBiosData), BiosDataArea.CreateExtended());
        Write(memory, block, tables.Build(block));
        Write(memory, new(AcpiRootPointer), tables.BuildRootPointer(block));
        byte[] inventory = SmbiosTables.Create(platform);
        if (inventory.Length > (int)(MemoryMap.ExtendedMemory - SmbiosStructures))
        {
            throw new ArgumentException(
                $"The machine's inventory has {inventory.Length} bytes and does not fit its place.", nameof(platform));
        }

        Write(memory, new(SmbiosStructures), inventory);
        Write(memory, new(SmbiosEntryPoint), SmbiosTables.CreateEntryPoint(new(SmbiosStructures), inventory.Length));
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
