using WebVm.Vmm.Acpi.Aml;

namespace WebVm.Vmm.Acpi;

/// <summary>Devices of the namespace as most of them are described: an identifier and what they decode.</summary>
public static class AmlDevices
{
    /// <summary>_STA: present, decoding, functioning; not shown to the user (ACPI 6.5 §6.3.7).</summary>
    private const uint PresentEnabledFunctioning = 0xb;

    /// <summary>A device of an EISA identifier.</summary>
    public static AmlDevice Create(string name, string id, params AmlResource[] resources) =>
        new(name, new AmlName("_HID", new AmlEisaId(id)), Resources(resources));

    /// <summary>One of several devices of an EISA identifier.</summary>
    public static AmlDevice Create(string name, string id, int number, params AmlResource[] resources) =>
        new(name, new AmlName("_HID", new AmlEisaId(id)), new AmlName("_UID", (ulong)number), Resources(resources));

    /// <summary>A device of an ACPI identifier that is not for users to see.</summary>
    public static AmlDevice CreateHidden(string name, string id, params AmlResource[] resources) =>
        new(name, new AmlName("_HID", id), new AmlName("_STA", PresentEnabledFunctioning), Resources(resources));

    private static AmlName Resources(AmlResource[] resources) => new("_CRS", new AmlResourceTemplate(resources));
}
