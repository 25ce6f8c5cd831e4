namespace WebVm.Vmm.Host.Native;

/// <summary>
/// The struct is the C type of the same name in <paramref name="headers"/>. The ABI test compiles C against those headers and compares
/// the size of the struct and offset and size of every field; a struct in this namespace without the attribute fails the test.
/// </summary>
[AttributeUsage(AttributeTargets.Struct)]
internal sealed class NativeTypeAttribute(params string[] headers) : Attribute
{
    public string[] Headers { get; } = headers;

    /// <summary>The C type when it is not "struct" and the C# name.</summary>
    public string? Name { get; init; }

    /// <summary>The C# struct lacks fields at the end of the C type, so only what is there is compared.</summary>
    public bool Prefix { get; init; }
}

/// <summary>The struct has no name in C: it is a member of a struct or union, and is checked through the field that has its type.</summary>
[AttributeUsage(AttributeTargets.Struct)]
internal sealed class NativeAnonymousAttribute : Attribute;

/// <summary>The field's C spelling when it differs from the C# name.</summary>
[AttributeUsage(AttributeTargets.Field)]
internal sealed class NativeFieldAttribute(string name) : Attribute
{
    public string Name { get; } = name;
}

/// <summary>
/// Every constant of the class is the C constant of the same name in <paramref name="headers"/>; checked by the ABI test.
/// </summary>
[AttributeUsage(AttributeTargets.Class)]
internal sealed class NativeConstantsAttribute(params string[] headers) : Attribute
{
    public string[] Headers { get; } = headers;
}
