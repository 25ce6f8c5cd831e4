namespace WebVm.Vmm.Firmware.Boot;

/// <summary>A file that cannot be booted, or not in this machine. The message names the file and the reason.</summary>
public sealed class BootException : Exception
{
    public BootException(string file, string reason)
        : base($"{file}: {reason}")
    {
        File = file;
        Reason = reason;
    }

    public BootException(string file, string reason, Exception inner)
        : base($"{file}: {reason}", inner)
    {
        File = file;
        Reason = reason;
    }

    /// <summary>The file as the user named it.</summary>
    public string File { get; }

    public string Reason { get; }
}
