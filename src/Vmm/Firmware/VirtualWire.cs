using System.Buffers.Binary;
using WebVm.Vmm.Interrupts;

namespace WebVm.Vmm.Firmware;

/// <summary>
/// How firmware leaves the local APICs: the boot processor's in virtual wire mode (MultiProcessor Specification 1.4 §3.6.2.2), so that
/// the 8259A pair and NMIs reach it; those of the others as they are after power-on.
/// </summary>
public static class VirtualWire
{
    private const int SpuriousVector = 0xf0;
    private const int LvtLint0 = 0x350;
    private const int LvtLint1 = 0x360;

    private const uint Enabled = 1 << 8;
    private const uint External = 7 << 8;
    private const uint Nmi = 4 << 8;

    /// <param name="controllers">The power-on state; its first local APIC is the boot processor's.</param>
    public static InterruptControllerState Apply(InterruptControllerState controllers)
    {
        if (controllers.LocalApics.Count == 0)
        {
            return controllers;
        }

        var boot = controllers.LocalApics[0];
        byte[] registers = [.. boot.Registers];
        Write(registers, SpuriousVector, Enabled | 0xff);
        Write(registers, LvtLint0, External);
        Write(registers, LvtLint1, Nmi);
        return controllers with { LocalApics = [boot with { Registers = registers }, .. controllers.LocalApics.Skip(1)] };
    }

    private static void Write(byte[] registers, int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(registers.AsSpan(offset), value);
}
