namespace WebVm.Web.Formatting;

/// <summary>Settings of a machine as its page names them.</summary>
public static class SettingTitles
{
    /// <param name="pointer">JSON pointer of the setting.</param>
    public static string Title(string pointer) => pointer switch
    {
        "/cpus" => "vCPUs",
        "/memory" => "memory",
        "/numa" => "NUMA nodes",
        "/boot" => "boot source",
        "/display" => "display",
        "/engine" => "engine",
        "/clock" => "clock after a pause",
        _ => pointer.TrimStart('/'),
    };
}
