namespace WebVm.Vmm.Devices.Catalogue;

/// <summary>Puts a kind of device into its assembly's catalogue. For classes that implement <see cref="IDeviceKind{TSettings}"/>.</summary>
/// <param name="name">What specs call it: family and model, such as "serial.16550". For ever, as saved states go by it.</param>
/// <param name="help">What it is, in one line.</param>
[AttributeUsage(AttributeTargets.Class, Inherited = false)]
public sealed class DeviceKindAttribute(string name, string help) : Attribute
{
    public string Name { get; } = name;

    public string Help { get; } = help;
}

/// <summary>
/// Marks a static partial property of type <c>IReadOnlyList&lt;DeviceKind&gt;</c>: what it gives is generated when this is compiled, from
/// all kinds of the assembly.
/// </summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class DeviceKindsAttribute : Attribute;
