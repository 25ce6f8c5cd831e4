using WebVm.Api.Settings;

namespace WebVm.Web;

/// <summary>Finds the static files: beside the published program, or at the top of a checkout.</summary>
internal static class WebRoot
{
    public static string Find()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string candidate = Path.Combine(folder.FullName, "wwwroot");
            if (Directory.Exists(candidate))
            {
                return candidate;
            }
        }

        throw new StartException($"The pages' files are missing: there is no folder wwwroot in {AppContext.BaseDirectory} or above it.");
    }
}
