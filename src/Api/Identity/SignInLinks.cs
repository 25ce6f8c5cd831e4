using System.Buffers.Text;
using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Options;
using WebVm.Api.Settings;
using WebVm.Vmm.Host;

namespace WebVm.Api.Identity;

/// <summary>
/// One-time codes that sign a browser in as administrator. One is printed at the service's start and gone with it. Others are asked for on
/// the host, by whoever may write into the service's folder: an empty file there, named by the code's hash, is all that the service has to
/// see.
/// </summary>
public sealed class SignInLinks
{
    public static readonly TimeSpan Lifetime = TimeSpan.FromHours(1);

    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    private readonly ConcurrentDictionary<string, DateTimeOffset> _codes = new(StringComparer.Ordinal);
    private readonly string _folder;
    private readonly TimeProvider _time;

    public SignInLinks(IOptions<ServiceOptions> options, TimeProvider time)
    {
        (_folder, _time) = (options.Value.LinksFolder, time);
        Directory.CreateDirectory(_folder, OwnerOnly);
    }

    /// <summary>A code of the running service.</summary>
    public string Create()
    {
        string code = NewCode();
        _codes[code] = _time.GetUtcNow() + Lifetime;
        return code;
    }

    /// <summary>
    /// A code for the service that has the folder, whether it runs at this moment or not. What was left before and never used is removed.
    /// </summary>
    /// <exception cref="IOException">The folder is not there, or only a link to one.</exception>
    public static string Leave(string folder)
    {
        // Root may do this in a folder of the service's account, which is not to choose what root deletes.
        if (FileIdentity.Of(folder) is { IsDirectory: false })
        {
            throw new IOException($"{folder} is no folder.");
        }

        foreach (string old in Directory.GetFiles(folder).Where(path => IsOurs(Path.GetFileName(path))))
        {
            if (DateTime.UtcNow - File.GetLastWriteTimeUtc(old) > Lifetime)
            {
                File.Delete(old);
            }
        }

        string code = NewCode();
        // Nobody has to read it: it may belong to root, and the service to another account.
        new FileStream(
            Path.Combine(
                folder, FileName(
                    code)), new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write,
                        UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite }).Dispose();
        return code;
    }

    /// <summary>True once for every code that has not expired.</summary>
    public bool TryUse(string code) => (_codes.TryRemove(code, out var expires) && expires > _time.GetUtcNow()) || TryTake(FileName(code));

    private bool TryTake(string name)
    {
        string left = Path.Combine(_folder, name);
        string taken = Path.Combine(_folder, Guid.NewGuid().ToString("N"));
        try
        {
            // Of two who come with one code, one renames it.
            var made = File.GetLastWriteTimeUtc(left);
            File.Move(left, taken);
            File.Delete(taken);
            return (_time.GetUtcNow() - made).Duration() < Lifetime;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static string NewCode() => Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(24));

    private static bool IsOurs(string name) => name.Length == 2 * SHA256.HashSizeInBytes && name.All(char.IsAsciiHexDigitLower);

    private static string FileName(string code) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(code)));
}
