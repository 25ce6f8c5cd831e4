namespace WebVm.Vmm.Devices.Pci.HostBridge;

/// <summary>
/// The registers of Intel's Q35 memory controller hub that share out addresses (Intel 3 Series Express Chipset Family datasheet,
/// 316966-002, §5.1): PCIEXBAR, PAM0 to PAM6,
/// SMRAM, TOLUD. Its memory is sized at power-on, as firmware for virtual machines expects.
/// </summary>
/// <remarks>
/// RAM that does not lie below TOLUD goes on at 4 GiB: there are no remap registers. All that is neither RAM nor the chipset's is PCI's.
/// There is no system
/// management mode, so SMRAM is RAM while it is open and enabled, and nobody's otherwise; and no TSEG.
/// </remarks>
/// <param name="changed">The registers say something else, perhaps. Called without the register lock.</param>
internal sealed class MemoryControllerHub(SystemRam ram, Action changed) : PciRegisterBlock
{
    private const int Pciexbar = 0x60;
    private const int PciexbarUpper = 0x64;
    private const int Pam0 = 0x90;
    private const int Smram = 0x9d;
    private const int Tolud = 0xb0;

    /// <summary>Base and, in shorter windows, the two bits below it; length; enable.</summary>
    private const uint PciexbarWritable = 0xfc00_0007;
    private const uint PciexbarUpperWritable = 0xf;
    private const uint PciexbarAtPowerOn = 0xe000_0000;
    private const uint PciexbarEnable = 1;
    private const int PciexbarLengthShift = 1;

    private const byte SmramAtPowerOn = 0x02;
    private const byte SmramEnable = 1 << 3;
    private const byte SmramLock = 1 << 4;
    private const byte SmramClosed = 1 << 5;
    private const byte SmramOpen = 1 << 6;

    private const ushort ToludAddressBits = 0xfff0;
    private const int ToludShift = 16;

    /// <summary>
    /// With that much RAM or more, the room below 4 GiB that SeaBIOS's configuration window (b0000000) and BARs want is made by moving RAM
    /// up, as QEMU's q35 has it.
    /// </summary>
    private const ulong MuchMemory = 0xb000_0000;
    private const ulong LowEndOfMuch = 0x8000_0000;

    private byte _smram = SmramAtPowerOn;

    /// <summary>Where low memory ends at power-on: whole MiB.</summary>
    public ulong LowEndAtPowerOn => ram.Size >= MuchMemory
        ? LowEndOfMuch
        : Math.Max((ram.Size + PlatformMap.Granularity - 1) & ~(PlatformMap.Granularity - 1), PlatformMap.Granularity);

    /// <summary>What the registers come to.</summary>
    public (PlatformMap Map, LegacySegments Segments) Read()
    {
        lock (Registers)
        {
            ulong tolud = (ulong)(Config.Get16(Tolud) & ToludAddressBits) << ToludShift;
            ulong lowEnd = Math.Clamp(tolud, PlatformMap.Granularity, PlatformMap.FixedDevices);
            var map = new PlatformMap(
                lowEnd,
                Ecam(),
                new(lowEnd, PlatformMap.FixedDevices),
                new(ram.HighEnd(lowEnd), Memory.GuestMemory.AddressSpaceSize));
            bool smram = (_smram & (SmramOpen | SmramEnable)) == (SmramOpen | SmramEnable);
            var segments = default(LegacySegments).WithAdapters(smram ? SegmentAccess.Memory : SegmentAccess.Bus);
            for (int segment = 0; segment < LegacySegments.Shadows; segment++)
            {
                // Two segments a register: the one with the odd number has the lower half.
                int pam = Config.Get8(Pam0 + ((segment + 1) / 2));
                segments = segments.With(segment, (SegmentAccess)((segment % 2 == 0 ? pam >> 4 : pam) & 3));
            }

            return (map, segments);
        }
    }

    /// <summary>Sets the registers as firmware does, to what a machine has that is booted directly.</summary>
    public static void SetUpDirect(PciFunction function)
    {
        var map = PlatformMap.Direct;
        function.WriteConfig(Tolud, 2, (uint)(map.LowMemoryEnd >> ToludShift));
        function.WriteConfig(PciexbarUpper, 4, 0);
        function.WriteConfig(Pciexbar, 4, (uint)map.Ecam!.Base | PciexbarEnable);
        function.WriteConfig(Pam0, 1, 0x30);
        for (int pam = 1; pam <= LegacySegments.Shadows / 2; pam++)
        {
            function.WriteConfig(Pam0 + pam, 1, 0x33);
        }
    }

    public override void Reset() => _smram = SmramAtPowerOn;

    public override void Written(int offset, int size)
    {
        if (offset <= Smram && Smram < offset + size)
        {
            byte written = Config.Get8(Smram);
            // Locked, it stays as it is until a reset; locking closes it (§5.1.22).
            _smram = (_smram & SmramLock) != 0 ? _smram : (written & SmramLock) != 0 ? (byte)(written & ~SmramOpen) : written;
            Config.Set8(Smram, _smram);
        }
    }

    public override void Loaded() => _smram = Config.Get8(Smram);

    public override void Follow() => changed();

    protected override void Define()
    {
        Config.Define(Pciexbar, 4, PciexbarAtPowerOn, PciexbarWritable);
        Config.Define(PciexbarUpper, 4, 0, PciexbarUpperWritable);
        Config.Define(Pam0, 1, 0, 0x30);
        for (int pam = 1; pam <= LegacySegments.Shadows / 2; pam++)
        {
            Config.Define(Pam0 + pam, 1, 0, 0x33);
        }

        Config.Define(Smram, 1, SmramAtPowerOn, SmramEnable | SmramLock | SmramClosed | SmramOpen);
        Config.Define(Tolud, 2, (uint)(LowEndAtPowerOn >> ToludShift), ToludAddressBits);
    }

    private ConfigurationWindow? Ecam()
    {
        uint low = Config.Get32(Pciexbar);
        int length = (int)(low >> PciexbarLengthShift) & 3;
        if ((low & PciexbarEnable) == 0 || length == 3)
        {
            // Length 3 is reserved.
            return null;
        }

        int buses = PlatformMap.MaximumBuses >> length;
        ulong address = ((ulong)Config.Get32(PciexbarUpper) << 32) | low;
        return new ConfigurationWindow(address & ~(((ulong)buses << 20) - 1), buses);
    }
}
