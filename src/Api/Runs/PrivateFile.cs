namespace WebVm.Api.Runs;

/// <summary>Files for the service's own account alone, whatever its umask, that are on the disk when they are written.</summary>
internal static class PrivateFile
{
    private static readonly FileStreamOptions s_options = new()
    {
        Mode = FileMode.Create,
        Access = FileAccess.Write,
        UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        BufferSize = 0,
    };

    public static void Write(string path, ReadOnlySpan<byte> content)
    {
        using var file = new FileStream(path, s_options);
        file.Write(content);
        file.Flush(flushToDisk: true);
    }
}
