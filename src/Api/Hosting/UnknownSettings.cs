using System.Collections;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using WebVm.Api.Settings;

namespace WebVm.Api.Hosting;

/// <summary>
/// Tells the service's owner of variables that look like settings and are none: a slip of the pen leaves a default in force, silently.
/// </summary>
internal sealed partial class UnknownSettings(ILogger<UnknownSettings> log) : IHostedService
{
    public const string Prefix = "WEBVM_";

    // Of the scripts around the service.
    private static readonly string[] s_others = ["WEBVM_ROOT", "WEBVM_CACHE"];

    private static readonly HashSet<string> s_known = new(
        typeof(ServiceOptions).GetProperties().Where(property => property.CanWrite).Select(property => property.Name),
        StringComparer.OrdinalIgnoreCase);

    /// <summary>The setting that a variable sets.</summary>
    public static string SettingOf(string variable) => variable[Prefix.Length..].Replace("_", "", StringComparison.Ordinal);

    /// <param name="variables">Of an environment.</param>
    public static IEnumerable<string> Among(IEnumerable<string> variables) =>
        variables.Where(
            name => name.StartsWith(Prefix, StringComparison.Ordinal) && !s_others.Contains(name) && !s_known.Contains(SettingOf(name)))
                .Order(StringComparer.Ordinal);

    public Task StartAsync(CancellationToken cancellationToken)
    {
        foreach (string name in Among(
            Environment.GetEnvironmentVariables().Cast<DictionaryEntry>().Select(variable => (string)variable.Key)))
        {
            LogUnknown(log, name);
        }

        return Task.CompletedTask;
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Name} is no setting of WebVm and has no effect; README.md lists them")]
    private static partial void LogUnknown(ILogger log, string name);
}
