using WebVm.Api.Hosting;
using WebVm.Api.Identity;
using WebVm.Api.Settings;

namespace WebVm.Web;

/// <summary>
/// <c>webvm --sign-in-link</c>: prints a new one-time link for an administrator who cannot sign in any more. The right to do so is the
/// right to write into the service's data folder; the service may run or not.
/// </summary>
internal static class SignInLinkVerb
{
    public const string Switch = "--sign-in-link";

    public static async Task<int> RunAsync()
    {
        var options = new ServiceOptions();
        if (Environment.GetEnvironmentVariable("WEBVM_DATA") is { Length: > 0 } data)
        {
            options.Data = Path.GetFullPath(data);
        }

        string listen = Environment.GetEnvironmentVariable("WEBVM_LISTEN") is { Length: > 0 } given ? given : options.Listen;
        try
        {
            string code = SignInLinks.Leave(options.LinksFolder);
            await Console.Out.WriteLineAsync(
                $"Sign in, once, within the hour: {Greeting.Link(LocalAddress.Of(listen.Split(';')[0].Trim()), code)}");
            return 0;
        }
        catch (DirectoryNotFoundException)
        {
            await Console.Error.WriteLineAsync(
                $"webvm: no WebVm has been started with the data folder {options.Data}. WEBVM_DATA names another.");
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            await Console.Error.WriteLineAsync(
                $"webvm: the data folder {options.Data} cannot be written to; run this as root or as the service's account.");
        }

        return 4;
    }
}
