namespace WebVm.Vmm.Devices.Bus;

/// <summary>What an access finds where nothing answers: pull-ups, so all ones.</summary>
internal static class OpenBus
{
    /// <summary>All ones in <paramref name="size"/> bytes, zero-extended.</summary>
    public static ulong Read(int size) => size >= 8 ? ulong.MaxValue : (1UL << (size * 8)) - 1;
}
