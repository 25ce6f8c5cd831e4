using System.Buffers.Binary;
using WebVm.Vmm.Interrupts;

namespace WebVm.Vmm.Firmware;

/// <summary>
/// How firmware leaves the local APICs: the boot processor's in virtual wire mode (MultiProcessor Specification 1.4 §3.6.2.2), so that
/// the 8259A pair and NMIs reach it; those of the others as they are after power-on.
/// </summary>
public static class VirtualWire
{
    /// <param name="controllers">The power-on state; its first local APIC is the boot processor's.</param>
    public static InterruptControllerState Apply(InterruptControllerState controllers)
    {
        if (controllers.LocalApics.Count == 0)
        {
            return controllers;
        }

        var boot = controllers.LocalApics[0];
        byte[] registers = [.. boot.Registers];
        Write(registers, LocalApicRegister.SpuriousVector, LocalApicRegister.SoftwareEnable | 0xff);
        Write(registers, LocalApicRegister.LvtLint0, (uint)ApicDeliveryMode.ExternalInterrupt << 8);
        Write(registers, LocalApicRegister.LvtLint1, (uint)ApicDeliveryMode.Nmi << 8);
        return controllers with { LocalApics = [boot with { Registers = registers }, .. controllers.LocalApics.Skip(1)] };
    }

    private static void Write(byte[] registers, int offset, uint value) =>
        BinaryPrimitives.WriteUInt32LittleEndian(registers.AsSpan(offset), value);
}
