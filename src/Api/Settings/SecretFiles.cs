using System.Text;
using Npgsql;

namespace WebVm.Api.Settings;

/// <summary>
/// Secrets come from files rather than from the environment, which every program that is started inherits: from the file that a setting
/// names (<c>WEBVM_ADMIN_TOKEN_FILE</c>), from systemd's credentials (systemd.exec(5), <c>webvm.admin-token</c>), from Docker's secrets
/// (<c>webvm_admin_token</c>), in this order.
/// </summary>
internal static class SecretFiles
{
    private const int MostBytes = 64 * 1024;
    private const string DockerFolder = "/run/secrets";
    private const string DatabaseVariable = "WEBVM_DATABASE";

    private static readonly Secret[] s_all =
    [
        new("ADMIN_TOKEN", options => options.AdminToken, (options, value) => options.AdminToken = value,
            options => options.AdminTokenFile),
        new("DATABASE", options => options.Database, (options, value) => options.Database = value, options => options.DatabaseFile),
        new("DATABASE_PASSWORD", options => options.DatabasePassword, (options, value) => options.DatabasePassword = value,
            options => options.DatabasePasswordFile),
    ];

    /// <summary>Fills in what stands in files.</summary>
    /// <exception cref="StartException">A file cannot be read, or a secret is given twice.</exception>
    public static void Read(ServiceOptions options)
    {
        foreach (var secret in s_all)
        {
            bool named = secret.File(options) is { Length: > 0 };
            if (secret.Get(options) is { Length: > 0 })
            {
                if (named)
                {
                    throw new StartException($"{secret.Variable} and {secret.Variable}_FILE are both set.");
                }
            }
            else if (named)
            {
                secret.Set(options, ReadFile(secret.File(options)!, $"{secret.Variable}_FILE"));
            }
            else if (Found(secret) is { } found)
            {
                secret.Set(options, ReadFile(found, secret.Variable));
            }
        }
    }

    /// <summary>Takes secrets out of the environment, so that no program that the service starts has them.</summary>
    /// <returns>The names of those that stood there, but of a connection string without a password, which keeps no secret.</returns>
    public static IReadOnlyList<string> TakeFromEnvironment()
    {
        string[] there = [.. s_all.Select(secret => secret.Variable)
            .Where(name => Environment.GetEnvironmentVariable(name) is { Length: > 0 })];
        string[] secret = [.. there.Where(name => name != DatabaseVariable || HasPassword(Environment.GetEnvironmentVariable(name)!))];
        Array.ForEach(there, name => Environment.SetEnvironmentVariable(name, null));
        return secret;
    }

    /// <summary>Whether a connection string has a password. One that cannot be read may have one.</summary>
    internal static bool HasPassword(string connection)
    {
        try
        {
            return new NpgsqlConnectionStringBuilder(connection).Password is { Length: > 0 };
        }
        catch (ArgumentException)
        {
            return true;
        }
    }

    private static string? Found(Secret secret)
    {
        string? credentials = Environment.GetEnvironmentVariable("CREDENTIALS_DIRECTORY");
        string words = secret.Name.ToLowerInvariant();
        string[] places = [.. credentials is { Length: > 0 }
            ? [Path.Combine(credentials, "webvm." + words.Replace('_', '-'))]
            : Array.Empty<string>(), Path.Combine(DockerFolder, "webvm_" + words)];
        return places.FirstOrDefault(File.Exists);
    }

    private static string ReadFile(string path, string who)
    {
        try
        {
            using var file = File.OpenRead(path);
            byte[] content = new byte[MostBytes + 1];
            int length = file.ReadAtLeast(content, content.Length, throwOnEndOfStream: false);
            return length <= MostBytes
                ? Encoding.UTF8.GetString(content, 0, length).TrimEnd('\r', '\n')
                : throw new StartException($"{who} names {path}, which is too long for a secret.");
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new StartException($"{who} names {path}, which cannot be read: {failure.Message}", failure);
        }
    }

    private sealed record Secret(
        string Name, Func<ServiceOptions, string?> Get, Action<ServiceOptions, string> Set, Func<ServiceOptions, string?> File)
    {
        public string Variable => "WEBVM_" + Name;
    }
}
