namespace WebVm.Api.Conventions;

/// <summary>When a change of a setting does something.</summary>
public enum Effect
{
    AtOnce,
    AtNextStart,
}

/// <summary>Says in the API's description when a change of the setting is taken up.</summary>
[AttributeUsage(AttributeTargets.Property)]
public sealed class TakenUpAttribute(Effect effect) : Attribute
{
    public Effect Effect { get; } = effect;

    public string Sentence =>
        Effect == Effect.AtOnce
            ? "A change is taken up at once."
            : "A running machine takes up a change at its next start, and names it in pendingChanges until then.";
}
