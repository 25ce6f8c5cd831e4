namespace WebVm.Vmm.Settings;

/// <summary>One thing wrong with a machine spec.</summary>
/// <param name="Pointer">JSON pointer (RFC 6901) of the field, such as "/numa/1/memory"; empty for the whole document.</param>
/// <param name="Message">What is wrong and what would be right, without repeating the pointer.</param>
public readonly record struct SpecFault(string Pointer, string Message)
{
    public override string ToString() => Pointer.Length == 0 ? Message : $"{Pointer}: {Message}";
}

/// <summary>A machine cannot be made from what was given; every fault is listed.</summary>
public sealed class InvalidSpecException(IReadOnlyList<SpecFault> faults)
    : Exception(string.Join(Environment.NewLine, faults))
{
    public InvalidSpecException(string pointer, string message)
        : this([new SpecFault(pointer, message)])
    {
    }

    public IReadOnlyList<SpecFault> Faults { get; } = faults;
}
