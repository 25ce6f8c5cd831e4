namespace WebVm.Kit.Service;

/// <summary>The images that tests boot, as <c>./webvm image build tiny</c> has made them.</summary>
public static class Guests
{
    public static string Catalogue
    {
        get
        {
            string cache = Environment.GetEnvironmentVariable("WEBVM_CACHE") is { Length: > 0 } set ? set
                : Path.Combine(
                    Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } xdg
                        ? xdg
                        : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache"),
                    "webvm");
            return Path.Combine(cache, "images");
        }
    }

    public static Dictionary<string, string> Settings() => new() { ["WEBVM_CATALOGUE"] = Catalogue };
}
