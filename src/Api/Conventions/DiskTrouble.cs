namespace WebVm.Api.Conventions;

/// <summary>Says what a file system complains of, without the names of our files.</summary>
internal static class DiskTrouble
{
    // errno(3), which .NET hands on as HResult.
    private const int NoSpace = 28;
    private const int QuotaExceeded = 122;

    public static string Describe(IOException failure) =>
        failure.HResult is NoSpace or QuotaExceeded
            ? "There is no space left on the service's disk."
            : $"The service's disk failed: {failure.Message}";
}
