namespace WebVm.Web.Components.Shared;

/// <summary>How a share of what there is looks: as usual, as something to see to, or as a fault.</summary>
public enum MeterLevel
{
    Calm,
    Much,
    TooMuch,
}

public static class MeterLevels
{
    public static MeterLevel Of(double share, double much, double tooMuch) =>
        share > tooMuch ? MeterLevel.TooMuch : share > much ? MeterLevel.Much : MeterLevel.Calm;
}
